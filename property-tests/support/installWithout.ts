/** The built package in a folder of its own, as if some packages were not installed there. */
import { cp, mkdir, readdir, symlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'

const root = resolve('.')

/** @returns the path of the command line */
export const installWithout = async (folder: string, missing: readonly string[]): Promise<string> => {
  await cp(join(root, 'package.json'), join(folder, 'package.json'))
  const filter = (path: string): boolean => !/\.map$|dist.(property-tests|checks)/.test(path)
  await cp(join(root, 'dist'), join(folder, 'dist'), { recursive: true, filter })
  await symlink(join(root, 'finetuning'), join(folder, 'finetuning'))
  for (const name of await packagesIn(join(root, 'node_modules'))) {
    if (missing.includes(name)) continue
    await mkdir(join(folder, 'node_modules', name, '..'), { recursive: true })
    await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name))
  }
  return join(folder, 'dist/cli/salora.js')
}

const packagesIn = async (folder: string): Promise<readonly string[]> => {
  const names = (await readdir(folder)).filter((name) => !name.startsWith('.'))
  const nested = names.map(async (name) =>
    name.startsWith('@') ? (await readdir(join(folder, name))).map((inner) => `${name}/${inner}`) : [name],
  )
  return (await Promise.all(nested)).flat()
}
