/** Renders charts as SVG with Vega, and as PNG with resvg. Both are optional peer dependencies, loaded when there is something to draw. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { loadOptional } from '../../accelerated/storage/optionalPackages.js'
import type { Panel } from './figure.js'

export type SvgRenderer = (spec: Panel['spec']) => Promise<string>
export type PngRenderer = (svg: string) => Uint8Array

const install = ['vega', 'vega-lite', '@resvg/resvg-js']
const vegaPackages = { feature: 'charts', names: ['vega', 'vega-lite'], install }
const resvgPackages = { feature: 'PNG files', names: ['@resvg/resvg-js'], install }

type TextWidth = (item: { readonly fontSize?: number; readonly limit?: number }, text: unknown) => number

/**
 * Loads Vega. The renderer needs no browser; the SVG's axes and text take the color of their surroundings.
 * @throws MissingPackageError if vega or vega-lite is not installed
 */
export const loadSvgRenderer = async (): Promise<SvgRenderer> => {
  const vega = await loadOptional(vegaPackages, () => import('vega'))
  const { compile } = await loadOptional(vegaPackages, () => import('vega-lite'))
  // Without a canvas, Vega estimates 0.8 em for each letter, which wastes space and truncates labels.
  const { textMetrics } = vega as unknown as { readonly textMetrics: { width: TextWidth } } // absent from Vega's types
  textMetrics.width = ({ fontSize, limit }, text) => {
    const width = 0.62 * (fontSize ?? 11) * [...String(text ?? '')].length
    return limit !== undefined && limit > 0 ? Math.min(limit, width) : width // longer text is truncated
  }
  // A chart contains its data: nothing may be fetched.
  const refuse = (): Promise<never> => Promise.reject(inputError('a chart', 'data of its own', 'an address'))
  const loader = { ...vega.loader(), load: refuse, sanitize: refuse }
  return async (spec) => {
    const view = new vega.View(vega.parse(compile(spec).spec), { renderer: 'none', loader })
    try {
      return simplify(await view.toSVG())
    } finally {
      view.finalize()
    }
  }
}

/** Removes what is invisible: labels that do not fit, empty paths, and roles that a screen reader would read beside the alternative text. */
const simplify = (svg: string): string =>
  svg
    .replace(/<text [^>]*opacity="0">[^<]*<\/text>/g, '')
    .replace(/<path class="(?:foreground|background)"[^>]* d="(?:M0,0h0v0h0Z)?"[^>]*\/>/g, '')
    .replace(/<[a-z][^>]*>/g, (tag) => tag.replace(/ (?:role|aria-[a-z]+|pointer-events|class)="[^"]*"/g, ''))

/** A chart as a file of its own: dark on light or light on dark, as the viewer prefers. */
export const svgFile = (svg: string): string =>
  svg
    .replace(/^<svg /, '<svg color="#1b1b1b" ')
    .replace('>', '><style>@media (prefers-color-scheme: dark) { :root { color: #e6e6e6 } }</style>')

/**
 * Loads resvg. The renderer draws dark on white, with two pixels for each pixel of the chart.
 * @throws MissingPackageError if @resvg/resvg-js is not installed
 * @throws InputError if this machine has no font
 */
export const loadPngRenderer = async (): Promise<PngRenderer> => {
  const { Resvg } = await loadOptional(resvgPackages, () => import('@resvg/resvg-js'))
  const word =
    '<svg xmlns="http://www.w3.org/2000/svg" width="50" height="50"><text x="9" y="20" font-family="sans-serif">word</text></svg>'
  if (new Resvg(word).getBBox() === undefined) throw inputError('PNG files', 'a font (such as the package fonts-dejavu-core)', 'none')
  return (svg) =>
    new Resvg(svg.replace(/^<svg /, '<svg color="#1b1b1b" '), {
      background: '#ffffff',
      fitTo: { mode: 'zoom', value: 2 },
      font: { defaultFontFamily: 'sans-serif' },
    })
      .render()
      .asPng()
}
