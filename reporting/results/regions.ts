/** Generated regions of a Markdown page: between `<!-- generated: NAME -->` and `<!-- end -->`. The text around them is written by people. */
import { inputError } from '../../accelerated/errors/inputError.js'

const region = /<!-- generated: ([\w-]+) -->\n[\s\S]*?<!-- end -->/g

/**
 * The page with new text in its regions.
 * @throws InputError if a region has no text, or a text has no region
 */
export const replaceRegions = (file: string, page: string, texts: ReadonlyMap<string, string>): string => {
  const names = [...page.matchAll(region)].map(([, name = '']) => name)
  const unknown = names.find((name) => !texts.has(name))
  if (unknown !== undefined) throw inputError(file, `regions named ${[...texts.keys()].join(', ')}`, unknown)
  const missing = [...texts.keys()].find((name) => !names.includes(name))
  if (missing !== undefined) throw inputError(file, `a region <!-- generated: ${missing} --> … <!-- end -->`, 'none')
  return page.replace(region, (_: string, name: string) => `<!-- generated: ${name} -->\n${texts.get(name)}\n<!-- end -->`)
}
