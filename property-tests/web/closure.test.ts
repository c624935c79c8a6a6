/** What a browser loads to train: nothing of Node's, whatever its bundler, and twins that have all that they stand for. */
import { existsSync, readFileSync } from 'node:fs'
import { build, type Metafile, type Plugin } from 'esbuild'
import { beforeAll, describe, expect, it } from 'vitest'
import { version } from '../../web/finetune.js'

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
  readonly version: string
  readonly browser: Readonly<Record<string, string>>
}
const sourceOf = (built: string): string => built.replace('./dist/', '').replace(/\.js$/, '.ts')
const twins = Object.entries(manifest.browser).map(([node, browser]) => ({ node: sourceOf(node), browser: sourceOf(browser) }))

/** package.json's "browser" for the sources: bundlers apply it to the built files. */
const browserField: Plugin = {
  name: 'browser field',
  setup: ({ onLoad }) => {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const twin = twins.find(({ node }) => path === `${process.cwd()}/${node}`)
      return twin === undefined ? undefined : { contents: readFileSync(twin.browser, 'utf8'), loader: 'ts' }
    })
  },
}

const metafileOf = async (entry: string, plugins: Plugin[]): Promise<Metafile> => {
  const { metafile } = await build({
    entryPoints: [entry],
    ...{ bundle: true, format: 'esm', platform: 'browser', metafile: true, write: false, splitting: true, outdir: 'unwritten' },
    external: ['node:*', 'onnxruntime-node', 'onnxruntime-web/*'],
    logLevel: 'silent',
    plugins,
  })
  return metafile
}

let metafile: Metafile = { inputs: {}, outputs: {} }
beforeAll(async () => {
  metafile = await metafileOf('web/index.ts', [browserField])
})

const outside = ({ inputs }: Metafile): readonly string[] =>
  Object.entries(inputs).flatMap(([file, { imports }]) =>
    imports
      .filter(({ external, path }) => external === true && !path.startsWith('<') && !path.startsWith('onnxruntime-web/'))
      .map(({ path }) => `${file} imports ${path}`),
  )

/** The files that the entry loads at once, without the parts that a call loads. */
const loadedFirst = ({ outputs }: Metafile): readonly string[] => {
  const seen = new Set<string>()
  const visit = (name: string): readonly string[] => {
    if (seen.has(name)) return []
    seen.add(name)
    const { inputs = {}, imports = [] } = outputs[name] ?? {}
    return [...Object.keys(inputs), ...imports.filter(({ kind }) => kind === 'import-statement').flatMap(({ path }) => visit(path))]
  }
  return visit('unwritten/index.js')
}

describe('what a browser loads', () => {
  it('has the training loop, every method and every objective of sequences, and asks Node for nothing', () => {
    const files = Object.keys(metafile.inputs)
    for (const file of 'training/trainingLoop methods/salora/salora objectives/sequenceClassification precisions/int8/ formats/peft/lora'.split(
      ' ',
    ))
      expect(
        files.some((name) => name.startsWith(`accelerated/${file}`)),
        file,
      ).toBe(true)
    expect(outside(metafile)).toEqual([])
    const above = /^(reference|cli|evaluation|reporting)\//
    expect(loadedFirst(metafile).filter((name) => above.test(name))).toEqual([])
    // a report's charts and tables, which its first call loads
    const later = files.filter((name) => above.test(name)).map((name) => name.split('/').slice(0, 2).join('/'))
    expect([...new Set(later)].sort()).toEqual([
      'evaluation/glue',
      'evaluation/styleTransfer',
      'evaluation/tables',
      'reporting/charts',
      'reporting/figures',
      'reporting/report',
      'reporting/runs',
      'reporting/text',
    ])
  })

  it('is seen to ask, where it does: without the twins', async () => {
    expect(outside(await metafileOf('web/index.ts', [])).join()).toContain('nodeFiles.ts imports node:fs')
  })

  it('has twins of files in engines/ and storage/ only, which ask Node in vain', () => {
    expect(twins.length).toBeGreaterThan(5)
    for (const { node, browser } of twins) {
      expect(node).toMatch(/^accelerated\/(engines|storage)\//)
      expect(existsSync(node), node).toBe(true)
      expect(readFileSync(node, 'utf8'), node).toMatch(/'node:|onnxruntime-node|loadOnnxRuntime.js/)
      expect(readFileSync(browser, 'utf8'), browser).not.toMatch(/from '(node:|onnxruntime-node)/)
    }
  })

  it('is below four megabytes of code before it is made smaller', () => {
    const { outputs } = metafile
    const bytes = Object.values(outputs).reduce((sum, output) => sum + output.bytes, 0)
    expect(bytes).toBeLessThan(4_000_000)
  })

  it('knows the version of the package', () => expect(version).toBe(manifest.version))
})
