/** The source text of accelerated/settings/settingsInput.ts: every setting with its type and its help text, grouped as in --help. */
import { z } from 'zod'
import { method as defaultMethod } from '../../accelerated/settings/defaults.js'
import { methods } from '../../accelerated/methods/index.js'
import { commonSettings } from '../../accelerated/settings/commonSettings.js'
import type { Method } from '../../accelerated/methods/method.js'
import type { Setting } from '../../accelerated/settings/setting.js'

type Json = {
  readonly type?: string
  readonly pattern?: string
  readonly enum?: readonly string[]
  readonly anyOf?: readonly Json[]
  readonly items?: Json
  readonly additionalProperties?: Json
}

const unionOf = (names: readonly string[]): string => names.map((name) => `'${name}'`).join(' | ')

/** A schema as a TypeScript type. @throws if it has a form that no setting has yet */
const typeOf = (json: Json): string => {
  if (json.anyOf !== undefined) return json.anyOf.map(typeOf).join(' | ')
  if (json.enum !== undefined) return unionOf(json.enum)
  const [, start] = /^\^([\w:]+)/.exec(json.pattern ?? '') ?? [] // a template that begins with a word
  if (start !== undefined) return `\`${start}\${string}\``
  if (json.type === 'integer') return 'number'
  if (json.type === 'array' && json.items !== undefined) return `readonly ${typeOf(json.items)}[]`
  if (json.type === 'object' && json.additionalProperties !== undefined)
    return `Readonly<Record<string, ${typeOf(json.additionalProperties)}>>`
  if (Array.isArray(json.type)) return json.type.join(' | ')
  if (json.type !== undefined && ['number', 'string', 'boolean', 'null'].includes(json.type)) return json.type
  throw new Error(`settingsInput: expected a schema with a TypeScript type, got ${JSON.stringify(json)}`)
}

/** --batch-size in a description is `batchSize` in code, and --no-use-dora is `useDora: false`. */
const inCamelCase = (text: string): string =>
  text.replaceAll(/--(no-)?([a-z][a-z0-9-]*)/g, (_, no: string | undefined, flag: string) => {
    const name = flag.replaceAll(/-(.)/g, (__, letter: string) => letter.toUpperCase())
    return `\`${name}${no === undefined ? '' : ': false'}\``
  })

/** A comment. Three choices or more with a remark each are a list, one a line. */
const docOf = ({ description, defaultText }: Setting, defaults: readonly (readonly [value: unknown, owner: string])[]): string => {
  const words = (value: unknown): string => defaultText ?? (value === null ? 'none' : String(value))
  const [first = [null, '']] = defaults
  const others = defaults.filter(([value]) => value !== first[0]).map(([value, owner]) => `, ${words(value)} of ${owner}`)
  const text = inCamelCase(description)
  const end = `Default: ${inCamelCase(words(first[0]))}${others.join('')}`
  const [, title, choices] = /^([^:(]+): ((?:\w+ \([^)]*\)(?:, | or |$)){3,})$/.exec(text) ?? []
  if (title === undefined || choices === undefined) return `/** ${text}. ${end} */`
  const items = [...choices.matchAll(/(\w+) \(([^)]*)\)/g)].map(([, name, summary]) => `   *  - ${name}: ${summary}`)
  return [`/**\n   * ${title}. ${end}`, ...items, '   */'].join('\n')
}

type Owner = { readonly name: string; readonly settings: Readonly<Record<string, Setting>> }

/** @param table the methods */
export const settingsInputSource = (table: readonly Method[] = methods): string => {
  const owners: readonly Owner[] = [{ name: '', settings: commonSettings }, ...table]
  const names = [...new Set(owners.flatMap(({ settings }) => Object.keys(settings)))]
  const described = names.map((name) => {
    const all = owners.flatMap((owner) => (owner.settings[name] === undefined ? [] : [[owner.settings[name], owner.name] as const]))
    const [[setting] = [commonSettings.seed]] = all
    const defaults = all.map(([own, owner]) => [own.schema.parse(undefined), owner] as const)
    const type = typeOf(z.toJSONSchema(setting.schema, { io: 'input', unrepresentable: 'any' }) as Json)
    return { group: setting.group, text: `  ${docOf(setting, defaults)}\n  readonly ${name}?: ${type}\n` }
  })
  const groups = [...new Set(described.map(({ group }) => group))]
  return `/** Every setting of a run by its type and its help text. Generated from the settings' tables: see property/accelerated/settingsInput.test.ts. */

export type MethodName = ${unionOf(table.map(({ name }) => name))}

/** All settings are optional. Those of another method than \`method\` are refused. */
export type SettingsInput = {
  /** Fine-tuning method. Default: ${defaultMethod.value} */
  readonly method?: MethodName
${groups.map((group) => `\n  // ${group}\n\n${described.flatMap((it) => (it.group === group ? [it.text] : [])).join('')}`).join('')}}
`
}
