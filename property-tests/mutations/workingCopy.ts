/** A built copy of the working tree for mutations: a lost terminal or a crash cannot leave a mutated file in the tree itself. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { buildSync, transformSync } from 'esbuild'

export type WorkingCopy = {
  readonly root: string
  /** for tests that start the program */
  readonly build: () => void
  /** Writes a file, and what the build made of it. */
  readonly write: (file: string, text: string) => void
  readonly remove: () => void
}

/** Copies what git tracks or does not ignore, with its changes; node_modules and the data folder beside the tree are links. */
export const copyTree = (tree: string): WorkingCopy => {
  const folder = mkdtempSync(join(tmpdir(), 'salora-mutations-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    return { ...copyInto(folder, tree), remove }
  } catch (thrown) {
    remove()
    throw thrown
  }
}

const copyInto = (folder: string, tree: string): Omit<WorkingCopy, 'remove'> => {
  const root = join(folder, 'tree')
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], { cwd: tree, encoding: 'utf8', maxBuffer: 2 ** 28 })
  const files = listed.split('\0').filter((file) => file !== '' && !/^node_modules(\/|$)/.test(file) && existsSync(join(tree, file)))
  for (const file of files) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    copyFileSync(join(tree, file), join(root, file))
  }
  symlinkSync(realpathSync(join(tree, 'node_modules')), join(root, 'node_modules'))
  const data = resolve(tree, '..', 'shared')
  if (existsSync(data)) symlinkSync(realpathSync(data), join(folder, 'shared'))
  const syntax = { format: 'esm', target: 'es2022' } as const
  return {
    root,
    build: () => {
      const entryPoints = files.filter((file) => /\.ts$/.test(file) && !/^docs\/\.vitepress|^reporting\/(\w+\/)?page\//.test(file))
      buildSync({ ...syntax, entryPoints, absWorkingDir: root, outbase: '.', outdir: 'dist', logLevel: 'warning' }) // without types
      execFileSync('npm', ['run', '--silent', 'build:pages'], { cwd: root })
    },
    write: (file, text) => {
      writeFileSync(join(root, file), text)
      const built = join(root, 'dist', file.replace(/\.ts$/, '.js'))
      if (existsSync(built)) writeFileSync(built, transformSync(text, { ...syntax, loader: 'ts' }).code)
    },
  }
}
