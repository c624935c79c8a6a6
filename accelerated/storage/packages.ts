/** Packages: optional peer dependencies, loaded when they are used (the error for a missing one has the command that installs it); files of ours. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { InputError } from '../errors/inputError.js'
import type { Text } from '../errors/words.js'

class MissingPackageError extends InputError {}

type OptionalPackages = {
  /** what needs the packages, such as `charts` or an option */
  readonly feature: Text
  readonly names: readonly string[]
  /** packages to install; absent: `names` */
  readonly install?: readonly string[]
}

/** @throws MissingPackageError if one of the packages is not installed */
export const loadOptional = async <Module>(
  { feature, names, install = names }: OptionalPackages,
  load: () => Promise<Module>,
): Promise<Module> => {
  const missing = names.filter((name) => !isInstalled(name))
  if (missing.length === 0) return load()
  const noun = names.length === 1 ? 'package' : 'packages'
  const got = missing.length === names.length ? 'none' : `no ${missing.join(', no ')}`
  throw new MissingPackageError(feature, `the ${noun} ${names.join(' and ')} (npm install ${install.join(' ')})`, got)
}

/** Node also reports a package as not found if the process has too many open files, so the folder decides. */
export const isInstalled = (name: string): boolean =>
  (createRequire(import.meta.url).resolve.paths(name) ?? []).some((folder) => existsSync(join(folder, name)))

/** The package's root: compiled code is in `dist`, and files that are not compiled are beside it. */
const root = new URL(import.meta.url.includes('/dist/') ? '../../../' : '../../', import.meta.url)

/** The absolute path of a file or folder of the package. @param path from the package's root */
export const packageFile = (path: string): string => fileURLToPath(new URL(path, root))
