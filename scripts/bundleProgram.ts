/** Bundles the program and its threads: Node takes longer to find, open and link hundreds of files than to run what is in them. */
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { build, type Plugin } from 'esbuild'
import { packageFile } from '../accelerated/storage/packages.js'

const root = packageFile('')
/** Bundles are in this folder of dist/. */
const destination = join(root, 'dist/program')

/** What a user, a thread or a child process starts. Each file stays where it is, as a line that imports its bundle. */
export const bundledFiles = [
  'cli/salora',
  'cli/doctor/probeProcess',
  'evaluation/benchmark/saloraWorker',
  'evaluation/jobs/jobProcess',
  'finetuning/finetuneWorker',
  'finetuning/use/serving/servingWorker',
]

/** The package of many files that every command needs. Its license is beside the bundles. */
const bundledPackage = 'zod'

const withSlashes = (path: string): string => path.replaceAll('\\', '/')

const packagesApart: Plugin = {
  name: 'packages apart',
  setup: ({ onResolve }) =>
    onResolve({ filter: /^[^.]/ }, ({ path, kind }) =>
      kind === 'entry-point' || path === bundledPackage ? undefined : { path, external: true },
    ),
}

/** A file finds others by its own address, which in a bundle stays the one in dist/ that it has without a bundle. */
const distAddresses: Plugin = {
  name: 'own addresses',
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const address = `../${withSlashes(relative(root, path)).replace(/\.ts$/, '.js')}`
      const text = await readFile(path, 'utf8')
      return { contents: text.replaceAll('import.meta.url', `new URL(${JSON.stringify(address)}, import.meta.url).href`), loader: 'ts' }
    }),
}

/** The executable of a bundle. A process that may open few files cannot load it, and has only this file to say so. */
const buildProgram = (bundle: string): string => `await import('${bundle}').catch((error) => {
  if (error.code === undefined) throw error // a defect keeps its stack
  process.stderr.write(\`salora: expected its own files, got \${error.message}\${error.code === 'EMFILE' ? ' (more open files must be allowed: ulimit -n)' : ''}\\n\`)
  process.exit(1)
})
`

/** Writes the bundles into dist/, which tsc has filled. */
export const bundleProgram = async (): Promise<void> => {
  await rm(destination, { recursive: true, force: true })
  await build({
    entryPoints: bundledFiles.map((file) => `${file}.ts`),
    absWorkingDir: root,
    outdir: destination,
    entryNames: '[name]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    charset: 'utf8',
    logLevel: 'warning',
    plugins: [packagesApart, distAddresses],
  })
  await cp(join(root, 'node_modules', bundledPackage, 'LICENSE'), join(destination, `LICENSE-${bundledPackage}`))
  for (const file of bundledFiles) {
    const started = join(root, 'dist', `${file}.js`)
    const bundle = withSlashes(relative(dirname(started), join(destination, `${basename(file)}.js`)))
    const [first = ''] = (await readFile(started, 'utf8')).split('\n')
    await writeFile(started, first.startsWith('#!') ? `${first}\n${buildProgram(bundle)}` : `import '${bundle}'\n`)
  }
}

if (process.argv[1]?.endsWith('bundleProgram.js') === true) await bundleProgram()
