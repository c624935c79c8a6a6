/** Imports optional peer dependencies. If one is missing, the error says how to install it. */
import { InputError } from './inputError.js'

export class MissingPackageError extends InputError {}

/**
 * @param feature what needs the package, such as `charts`
 * @param install the command that installs the package
 * @throws MissingPackageError if the package is not installed
 */
export const importOptional = <Module>(imported: Promise<Module>, feature: string, install: string): Promise<Module> =>
  imported.catch((thrown: unknown) => {
    const [, name] = /Cannot find (?:package|module) '([^']+)'/.exec(thrown instanceof Error ? thrown.message : '') ?? []
    if (name === undefined) throw thrown
    throw new MissingPackageError(feature, `the optional package ${name}`, `none; install it with: ${install}`, 'world')
  })
