/** Packs salora without ONNX Runtime, and ONNX Runtime for one platform beside it: a project that also has transformers.js then has one copy. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, sep } from 'node:path'
import { packageFile } from '../finetuning/data/packageFile.js'

type Manifest = Readonly<Record<string, unknown>> & {
  readonly name: string
  readonly version: string
  readonly files?: ReadonlyArray<string>
}
export type Platform = { readonly platform: string; readonly arch: string }

const runtime = packageFile('node_modules/onnxruntime-node')
const binaries = join(runtime, 'bin/napi-v6')

/** What ONNX Runtime's script needs that fetches CUDA where it is called. */
const ofScript = ['adm-zip', 'global-agent']

/** The platforms that onnxruntime-node has libraries for. */
export const platforms = (): ReadonlyArray<Platform> =>
  readdirSync(binaries).flatMap((platform) => readdirSync(join(binaries, platform)).map((arch) => ({ platform, arch })))

const manifestOf = (folder: string): Manifest => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest

/** @returns the names of both files in `destination` */
export const packSlim = ({ platform, arch }: Platform, destination: string): ReadonlyArray<string> => {
  mkdirSync(destination, { recursive: true })
  const stage = mkdtempSync(join(tmpdir(), 'salora-pack-'))
  try {
    const salora = packFolder(stageSalora(join(stage, 'salora')), destination)
    const packed = packFolder(stageRuntime(join(stage, 'onnxruntime-node'), { platform, arch }), destination)
    const named = packed.replace(/\.tgz$/, `-${platform}-${arch}.tgz`)
    renameSync(join(destination, packed), join(destination, named))
    return [salora, named]
  } finally {
    rmSync(stage, { recursive: true, force: true })
  }
}

/** Without the bundled ONNX Runtime, and without scripts: prepack would build again. */
const stageSalora = (stage: string): string => {
  const { bundleDependencies: _, devDependencies: __, scripts: ___, ...manifest } = manifestOf(packageFile('.'))
  for (const file of (manifest.files as ReadonlyArray<string>).filter((name) => !name.startsWith('!')))
    cpSync(packageFile(file), join(stage, file), { recursive: true })
  return withManifest(stage, manifest)
}

/** Without the install script, which fetches CUDA on Linux. `os` and `cpu` refuse another machine. */
const stageRuntime = (stage: string, { platform, arch }: Platform): string => {
  const { scripts: _, devDependencies: __, ...manifest } = manifestOf(runtime)
  const kept = join(binaries, platform, arch)
  const isAbove = (folder: string, file: string): boolean => `${file}${sep}`.startsWith(`${folder}${sep}`)
  cpSync(runtime, stage, { recursive: true, filter: (file) => !isAbove(binaries, file) || isAbove(file, kept) || isAbove(kept, file) })
  for (const name of ofScript) cpSync(packageFile(`node_modules/${name}`), join(stage, 'node_modules', name), { recursive: true })
  return withManifest(stage, { ...manifest, os: [platform], cpu: [arch], bundleDependencies: ofScript })
}

const withManifest = (stage: string, manifest: object): string => {
  writeFileSync(join(stage, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  return stage
}

const packFolder = (folder: string, destination: string): string => {
  const printed = execFileSync('npm', ['pack', folder, '--ignore-scripts', '--json', '--pack-destination', destination], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    shell: process.platform === 'win32', // npm is a script there
  })
  const [{ filename } = { filename: '' }] = JSON.parse(printed) as ReadonlyArray<{ readonly filename: string }>
  return filename
}

const main = ([platform = process.platform, arch = process.arch]: ReadonlyArray<string>): void => {
  if (!platforms().some((known) => known.platform === platform && known.arch === arch)) {
    const known = platforms().map((one) => `${one.platform} ${one.arch}`)
    console.error(`npm run pack:slim: expected ${known.join(', ')}, got ${platform} ${arch}`)
    process.exitCode = 2
    return
  }
  const destination = packageFile('slim')
  for (const file of packSlim({ platform, arch }, destination)) console.log(relative(process.cwd(), join(destination, file)))
}

if (process.argv[1]?.endsWith('slimPackages.js') === true) main(process.argv.slice(2))
