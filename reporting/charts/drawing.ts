/** Charts as files: SVG, and PNG with resvg, an optional peer dependency that is loaded when there is something to draw. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { escapeHtml } from '../../evaluation/tables/tableText.js'
import { loadOptional } from '../../accelerated/storage/packages.js'

export type PngRenderer = (svg: string) => Uint8Array

const resvgPackages = { feature: 'PNG files', names: ['@resvg/resvg-js'], install: ['@resvg/resvg-js'] }

/** A chart as a file of its own: dark on light or light on dark, as the viewer prefers, with what it shows as its title. */
export const svgFile = (svg: string, alternative: string): string =>
  svg
    .replace(/^<svg /, '<svg color="#1b1b1b" ')
    .replace(
      '>',
      () => `><style>@media (prefers-color-scheme: dark) { :root { color: #e6e6e6 } }</style><title>${escapeHtml(alternative)}</title>`,
    )

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
