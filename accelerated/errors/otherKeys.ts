/** Keys that an object of a program may not have: a mistyped option would be ignored in silence. */
import { inputError, quoted } from './inputError.js'
import { didYouMean } from './nearest.js'

/** @throws InputError for the first key that is not among the names: `task: expected an option of a task (did you mean "label"?), got "labl"` */
export const refuseOtherKeys = (given: object, names: ReadonlyArray<string>, where: string, what: string): void => {
  const other = Object.keys(given).find((key) => !names.includes(key))
  if (other === undefined) return
  const remedy = didYouMean(other, names)
  throw inputError(where, remedy === null ? what : `${what} (${remedy})`, quoted(other))
}
