/** Charts → SVG and PNG, by Vega and resvg, which are loaded when there is something to draw. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { lazyImport } from '../../accelerated/errors/lazyImport.js'
import type { Panel } from './figure.js'

type TextWidth = (item: { readonly fontSize?: number; readonly limit?: number }, text: unknown) => number

/** Draws without a browser; the text of an SVG whose axes and words take the color of what is around it. */
export const svgDrawer = async (): Promise<(spec: Panel['spec']) => Promise<string>> => {
  const [vega, { compile }] = [await lazyImport(import('vega')), await lazyImport(import('vega-lite'))]
  // without a canvas Vega takes a letter for 0.8 of its height, and leaves much room or cuts words short
  const { textMetrics } = vega as unknown as { readonly textMetrics: { width: TextWidth } } // which its types leave out
  textMetrics.width = ({ fontSize, limit }, text) => {
    const width = 0.62 * (fontSize ?? 11) * [...String(text ?? '')].length
    return limit !== undefined && limit > 0 ? Math.min(limit, width) : width // what is longer is drawn cut
  }
  // nothing may be fetched: charts bring their numbers with them
  const loader = vega.loader()
  const nothing = (): Promise<never> => Promise.reject(inputError('a chart', 'its own numbers', 'an address'))
  return async (spec) => {
    const view = new vega.View(vega.parse(compile(spec).spec), {
      renderer: 'none',
      loader: { ...loader, load: nothing, sanitize: nothing },
    })
    try {
      return cleaned(await view.toSVG())
    } finally {
      view.finalize()
    }
  }
}

/** Without what no one sees: labels that do not fit, empty paths, and roles that would be read aloud beside the alternative text. */
const cleaned = (svg: string): string =>
  svg
    .replace(/<text [^>]*opacity="0">[^<]*<\/text>/g, '')
    .replace(/<path class="(?:foreground|background)"[^>]* d="(?:M0,0h0v0h0Z)?"[^>]*\/>/g, '')
    .replace(/<[a-z][^>]*>/g, (tag) => tag.replace(/ (?:role|aria-[a-z]+|pointer-events|class)="[^"]*"/g, ''))

/** The chart alone, dark on light or light on dark as the viewer has it. */
export const svgFile = (svg: string): string =>
  svg
    .replace(/^<svg /, '<svg color="#1b1b1b" ')
    .replace('>', '><style>@media (prefers-color-scheme: dark) { :root { color: #e6e6e6 } }</style>')

/** Dark on white, two pixels for each of the chart's. null where this machine has no font: the words would be missing. */
export const pngDrawer = async (): Promise<((svg: string) => Uint8Array) | null> => {
  const { Resvg } = await lazyImport(import('@resvg/resvg-js'))
  const word =
    '<svg xmlns="http://www.w3.org/2000/svg" width="50" height="50"><text x="9" y="20" font-family="sans-serif">word</text></svg>'
  if (new Resvg(word).getBBox() === undefined) return null
  return (svg) =>
    new Resvg(svg.replace(/^<svg /, '<svg color="#1b1b1b" '), {
      background: '#ffffff',
      fitTo: { mode: 'zoom', value: 2 },
      font: { defaultFontFamily: 'sans-serif' },
    })
      .render()
      .asPng()
}
