/** Which matrices a low-rank adapter has, by PEFT's rules: names or one expression, those to leave out, and layers. */
import { SettingsError } from '../errors/expectedErrors.js'
import { quoted, reason } from '../errors/inputError.js'
import type { Matrix, ModelSpec } from '../models/architecture.js'

export type TargetSettings = {
  /** null: all */
  readonly targetModules: readonly string[] | null
  readonly excludeModules?: readonly string[] | null
  readonly layersToTransform?: readonly number[] | null
}

/** PEFT's word for every linear map except the output layer. BERT's pooler is excluded too: it is trained with the head. */
export const allLinear = 'all-linear'

/** What files may have before the names of a base model's tensors. */
export const filePrefixes = ['', 'model.', 'model.decoder.', 'transformer.'].concat([
  'bert.',
  'roberta.',
  'distilbert.',
  'electra.',
  'mpnet.',
  'deberta.',
])

/** A target is an end of the name, or the path of the matrix in files, which begins with the family's name. */
export const isTarget = (name: string, target: string): boolean =>
  `.${name}`.endsWith(`.${target}`) || filePrefixes.some((prefix) => target === `${prefix}${name}`)

/** @throws SettingsError for a target that no matrix has, an expression that matches none, or a layer that the model lacks */
export const targetedMatrices = (
  { matrices }: Pick<ModelSpec, 'matrices'>,
  { targetModules, excludeModules = null, layersToTransform: layers = null }: TargetSettings,
): readonly Matrix[] => {
  const targeted =
    targetModules === null || targetModules.join() === allLinear ? matrices : select(matrices, 'targetModules', targetModules)
  const excluded = excludeModules === null ? [] : select(matrices, 'excludeModules', excludeModules)
  const layerOf = (name: string): number => Number(/(?:^|\.)(\d+)\./.exec(name)?.[1])
  const absent = layers?.find((layer) => !matrices.some(({ name }) => layerOf(name) === layer))
  const count = Math.max(...matrices.map(({ name }) => layerOf(name) + 1))
  if (absent !== undefined) throw new SettingsError('layersToTransform', `layers below ${count}`, String(absent))
  const left = targeted.filter((matrix) => !excluded.includes(matrix) && layers?.includes(layerOf(matrix.name)) !== false)
  if (left.length === 0)
    throw new SettingsError(excludeModules === null ? 'layersToTransform' : 'excludeModules', 'a targeted matrix that is left', 'none')
  return left
}

const select = (matrices: readonly Matrix[], setting: string, targets: readonly string[]): readonly Matrix[] => {
  const kinds = (): string => [...new Set(matrices.map(({ name }) => name.replace(/^.*\.\d+\./, '')))].join(', ')
  const text = targets.join() // a comma of an expression looks like one of a list
  if (!/[\\*+?()[\]{}|^$]/.test(text)) {
    const unknown = targets.find((target) => !matrices.some(({ name }) => isTarget(name, target)))
    if (unknown !== undefined) throw new SettingsError(setting, `${allLinear}, or endings of ${kinds()}`, JSON.stringify(unknown))
    return matrices.filter(({ name }) => targets.some((target) => isTarget(name, target)))
  }
  const expression = toExpression(setting, text)
  const matched = matrices.filter(({ name }) => filePrefixes.some((prefix) => expression.test(`${prefix}${name}`)))
  if (matched.length === 0)
    throw new SettingsError(setting, `an expression that matches a whole path, with endings of ${kinds()}`, quoted(text))
  return matched
}

/** Quantifiers of one expression: each may multiply its time by the length of a name. */
const mostQuantifiers = 4

/** PEFT's expressions match whole paths. @throws SettingsError for one that may take forever */
const toExpression = (setting: string, text: string): RegExp => {
  if (/\)[*+{]|\\[1-9k]/.test(text) || (text.match(/[*+{]/g) ?? []).length > mostQuantifiers)
    throw new SettingsError(setting, `an expression of at most ${mostQuantifiers} repetitions, none of them of a group`, quoted(text))
  try {
    return new RegExp(`^(?:${text})$`)
  } catch (thrown) {
    throw new SettingsError(setting, 'a regular expression', `${quoted(text)} (${reason(thrown)})`)
  }
}
