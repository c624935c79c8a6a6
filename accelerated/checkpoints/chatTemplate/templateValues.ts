/** The values of a template, and its state while it is rendered: JSON as the interpreter has it, with Python's numbers: integers of any size, and floats that may be whole. */
import { Environment } from '@huggingface/jinja'
import { Float } from '../../storage/json.js'

/** A value of a template: the library's declarations do not resolve. */
export type Value = { readonly type: string; readonly value: unknown }

/** The library's Environment, by what of it is used here. */
export type Variables = { readonly variables: Map<string, unknown> }

/** A value of the same class. */
export const like = (value: Value, content: unknown): Value => new (value.constructor as new (content: unknown) => Value)(content)

const converted = (value: unknown): Value => new Environment().set('value', value) as unknown as Value

const samples = {
  text: converted(''),
  flag: converted(true),
  integer: converted(1),
  float: converted(0.5),
  list: converted([]),
  object: converted({}),
}

/** A value of JSON, or a function, as the template sees it. */
export const templateValue = (value: unknown): Value => {
  if (typeof value === 'string') return like(samples.text, value)
  if (typeof value === 'boolean') return like(samples.flag, value)
  if (typeof value === 'bigint') return like(samples.integer, value)
  if (value instanceof Float) return like(samples.float, value.value)
  if (typeof value !== 'object' || value === null) return converted(value)
  if (Array.isArray(value)) return like(samples.list, value.map(templateValue))
  return like(samples.object, new Map(Object.entries(value).map(([name, part]) => [name, templateValue(part)])))
}

/** The variables of a template. */
export const toEnvironment = (variables: Readonly<Record<string, unknown>>): Variables => {
  const environment = new Environment()
  for (const [name, value] of Object.entries(variables)) environment.variables.set(name, templateValue(value) as never)
  return environment
}

export const isList = (value: Value): value is Value & { readonly value: readonly Value[] } =>
  value.type === 'ArrayValue' || value.type === 'TupleValue'

export const isMap = (value: Value): value is Value & { readonly value: ReadonlyMap<string, Value> } =>
  value.type === 'ObjectValue' || value.type === 'KeywordArgumentsValue' || value.type === 'NamespaceValue'

export const isNumber = (value: Value): value is Value & { readonly value: number | bigint | boolean } =>
  value.type === 'IntegerValue' || value.type === 'FloatValue' || value.type === 'BooleanValue'

export const isTrue = (value: Value): boolean => (value as Value & { readonly __bool__: () => Value }).__bool__().value === true

/** Python's ==: true is 1, lists and objects are equal by what they hold, and a text is no number. */
export const areEqual = (a: Value, b: Value): boolean => {
  if (isNumber(a) && isNumber(b))
    return typeof a.value === 'bigint' && typeof b.value === 'bigint' ? a.value === b.value : Number(a.value) === Number(b.value)
  if (a.type !== b.type) return false
  if (isList(a) && isList(b)) return a.value.length === b.value.length && a.value.every((part, i) => areEqual(part, b.value[i] as Value))
  if (a.type !== 'ObjectValue' || !isMap(a) || !isMap(b)) return a.value === b.value
  const [entries, others] = [a.value, b.value]
  return entries.size === others.size && [...entries].every(([name, part]) => areEqual(part, others.get(name) ?? { type: '', value: null }))
}

// A template's state while it is rendered in one pass: what it may not read, and copies for the beginnings of the conversation.
/** The template asks for what one pass does not show. */
export class Unsupported extends Error {}
export const unsupported = (what: string): Error => new Unsupported(`one pass does not show ${what}`)

/** What a loop knows of an iteration only once it knows the next ones. */
const ahead: readonly string[] = ['last', 'nextitem', 'revindex', 'revindex0', 'length']

/** The facts of an iteration without the number of those to come. */
export class OpenLoop extends Map<string, Value> {
  override get(name: string): Value | undefined {
    return ahead.includes(name) && !this.has(name) ? this.whole() : super.get(name)
  }
  override get size(): number {
    return this.whole()
  }
  override entries(): never {
    return this.whole()
  }
  override keys(): never {
    return this.whole()
  }
  override values(): never {
    return this.whole()
  }
  override [Symbol.iterator](): never {
    return this.whole()
  }
  private whole(): never {
    throw unsupported('how many messages there are')
  }
}

/** The entries of the namespaces, by their variables' names. */
export const namespacesIn = ({ variables }: Variables): ReadonlyMap<string, Map<string, Value>> =>
  new Map(
    ([...variables] as unknown as readonly (readonly [string, Value])[]).flatMap(([name, one]) =>
      one.type === 'NamespaceValue' ? [[name, one.value as Map<string, Value>] as const] : [],
    ),
  )

/** A copy of a template's variables, which later statements leave as it is. Only namespaces change, so they alone are copied. */
export const copied = <V extends Variables>({ variables }: V): V => {
  const namespaces = new Map<Value, Value>()
  const copyValue = (value: Value): Value => {
    if (value.type !== 'NamespaceValue') return value
    const copy = namespaces.get(value) ?? like(value, new Map(value.value as Map<unknown, unknown>))
    namespaces.set(value, copy)
    return copy
  }
  const copy = new Environment()
  copy.variables = new Map([...variables].map(([name, value]) => [name, copyValue(value as unknown as Value)])) as never
  return copy as unknown as V
}
