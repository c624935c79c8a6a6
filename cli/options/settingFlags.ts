/** Settings as flags: their texts, defaults and kinds come from their tables. */
import type { Setting, SettingKind, SettingTable } from '../../accelerated/settings/setting.js'
import { flag, parseList, parseNumber, parseText, type Flag, type FlagTable, type Typed } from '../../finetuning/commandLine/flag.js'
import { allSettings } from '../../accelerated/training/resolveSettings.js'
import { decimal } from '../../finetuning/data/dataset.js'

/** Values by name; those that nobody gave are undefined or absent. */
export type Values = Readonly<Record<string, unknown>>

const readers: Readonly<Record<Exclude<SettingKind, 'switch'>, (where: string, text: string) => unknown>> = {
  text: parseText,
  file: parseText,
  number: parseNumber,
  textOrNumber: (where, text) => decimal(text) ?? parseText(where, text),
  list: parseList,
}

/** undefined where the flag is absent, so that the setting's own default holds */
const parseKind =
  (kind: SettingKind) =>
  (where: string, typed: Typed): unknown =>
    typed === undefined || kind === 'switch' ? typed : readers[kind](where, String(typed))

/** A switch that is on by default is shown so; null and off need no words. */
const describeDefault = ({ defaultText, schema }: Setting): string | null => {
  const value = schema.parse(undefined)
  if (defaultText !== null || value === null || value === false) return defaultText
  return value === true ? 'on' : String(value)
}

export const settingFlag = (setting: Setting): Flag<unknown> => {
  const { kind, placeholder, description, common, schema } = setting
  return flag({
    arity: kind === 'switch' ? 'none' : 'one',
    placeholder,
    description,
    defaultText: describeDefault(setting),
    common,
    negatable: kind === 'switch' && schema.parse(undefined) !== false,
    parse: parseKind(kind),
  })
}

export const settingFlags = <T extends SettingTable>(settings: T) =>
  Object.fromEntries(Object.entries(settings).map(([name, setting]) => [name, settingFlag(setting)])) as {
    readonly [Name in keyof T]: Flag<unknown>
  }

/** Some flags of a table, with other defaults in words. */
export const pickFlags = <const Name extends string>(
  table: FlagTable,
  names: readonly Name[],
  defaults: Readonly<Record<string, string>> = {},
): { readonly [N in Name]: Flag<unknown> } =>
  Object.fromEntries(
    names.map((name) => {
      const own = table[name]
      if (own === undefined) throw new Error(`pickFlags: expected a flag, got ${name}`)
      return [name, { ...own, defaultText: defaults[name] ?? own.defaultText }]
    }),
  ) as { readonly [N in Name]: Flag<unknown> }

/** The values among them that somebody gave. */
export const dropUndefined = (values: Values): Values =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))

export const settingNames: readonly string[] = ['method', ...Object.keys(allSettings)]
