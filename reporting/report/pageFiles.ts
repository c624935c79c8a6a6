/** Reads the pages' scripts and their style, which `npm run build` bundles from page/. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { isAbsent } from '../../accelerated/errors/systemError.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { PageFiles } from './reportPage.js'

/** The folder of the bundles: beside the compiled code, or in dist/ if this file runs as source. */
const bundles = new URL(import.meta.url.endsWith('.ts') ? '../../dist/reporting/page/' : '../page/', import.meta.url)

export const readPageFiles = async (page: 'board' | 'report'): Promise<PageFiles> => ({
  script: await readBundle(`${page}.js`),
  style: await readBundle('page.css'),
})

const readBundle = async (name: string): Promise<string> => {
  const file = fileURLToPath(new URL(name, bundles))
  return readFile(file, 'utf8').catch((thrown: unknown) => {
    if (!isAbsent(thrown)) throw thrown
    throw inputError(file, 'a file of the built pages (npm run build)', 'none')
  })
}
