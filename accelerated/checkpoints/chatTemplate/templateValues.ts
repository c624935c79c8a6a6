/** The values of a template: JSON as the interpreter has it, with Python's numbers: integers of any size, and floats that may be whole. */
import { Environment } from '@huggingface/jinja'
import { Float } from '../../storage/json.js'

/** A value of a template: the library's declarations do not resolve. */
export type Value = { readonly type: string; readonly value: unknown }

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
export const toEnvironment = (variables: Readonly<Record<string, unknown>>): Environment => {
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
