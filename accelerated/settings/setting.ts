/** A setting: its schema with a default, and what the command line says of it. Flags, help, config.json and its checks follow from this. */
import type { z } from 'zod'

/** How a flag's text is read: as it is, as a number, cut at commas, or as a file whose content stands for the value. A switch takes nothing. */
export type SettingKind = 'text' | 'number' | 'list' | 'switch' | 'file'

export type Setting<T = unknown> = {
  /** with a default */
  readonly schema: z.ZodType<T>
  readonly kind: SettingKind
  /** what the flag takes: `fraction` */
  readonly takes: string
  readonly help: string
}

/** Settings by their names in camelCase, in the order of --help. */
export type SettingTable = Readonly<Record<string, Setting>>

/** The values of a table. */
export type SettingValues<T extends SettingTable> = { readonly [K in keyof T]: T[K] extends Setting<infer V> ? V : never }

export const setting = <T>(kind: SettingKind, takes: string, help: string, schema: z.ZodType<T>): Setting<T> => ({
  kind,
  takes,
  help,
  schema,
})
