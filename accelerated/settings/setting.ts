/** A setting: a schema with a default, and how --help presents it. Flags, --help, config.json, its validation and the type SettingsInput follow from it. A method's settings are in the method's folder. */
import { z } from 'zod'

/** How a flag's text is parsed: as is, as a number, as a number if it is one, as a comma-separated list, or as a JSON file whose content is the value. A switch takes no value. */
export type SettingKind = 'text' | 'number' | 'textOrNumber' | 'list' | 'switch' | 'file'

export type Setting<T = unknown> = {
  /** validates a value and supplies the default */
  readonly schema: z.ZodType<T>
  readonly kind: SettingKind
  /** the value in --help, as `rate` in `--learning-rate <rate>`; empty for a switch */
  readonly placeholder: string
  /** An imperative or a noun phrase that stands alone. The command line appends the default. */
  readonly description: string
  /** the default in words, where its value says too little (null, for example) */
  readonly defaultText: string | null
  /** the heading in --help: `Training` */
  readonly group: string
  /** whether most people need it: the short --help lists only these */
  readonly common: boolean
  /** no option of its own, because it belongs to one method, one schedule or the optimizer: `--set tau=0.5` */
  readonly viaSet: boolean
}

/** Settings by their names in camelCase, in the order of --help. */
export type SettingTable = Readonly<Record<string, Setting>>

/** The values of a table. */
export type SettingValues<T extends SettingTable> = { readonly [K in keyof T]: T[K] extends Setting<infer V> ? V : never }

type Definition = Pick<Setting, 'schema' | 'description'> & Partial<Pick<Setting, 'placeholder' | 'defaultText' | 'common' | 'viaSet'>>

const kinds: Readonly<Record<string, SettingKind>> = {
  number: 'number',
  boolean: 'switch',
  array: 'list',
  record: 'file',
  union: 'textOrNumber',
}

/** The kind follows from the type of the values, whatever their default. */
const findKind = (schema: z.ZodType): SettingKind =>
  schema instanceof z.ZodDefault || schema instanceof z.ZodNullable
    ? findKind(schema.unwrap() as z.ZodType)
    : (kinds[schema.type] ?? 'text')

/** A table of settings under one heading of --help. A number has the placeholder `number` unless it is given another. */
export const settingGroup = <T extends Readonly<Record<string, Definition>>>(group: string, definitions: T, viaSet = false) =>
  Object.fromEntries(
    Object.entries(definitions).map(([name, definition]) => {
      const kind = findKind(definition.schema)
      return [
        name,
        { kind, placeholder: kind === 'number' ? 'number' : '', defaultText: null, common: false, viaSet, ...definition, group },
      ]
    }),
  ) as { readonly [K in keyof T]: Setting<z.output<T[K]['schema']>> }

/** The same, without options of their own. */
export const settingsViaSet = <T extends Readonly<Record<string, Definition>>>(group: string, definitions: T) =>
  settingGroup(group, definitions, true)
