/** A template's state while it is rendered in one pass: what it may not read, and copies for the beginnings of the conversation. */
import { Environment } from '@huggingface/jinja'
import { like, type Value } from './templateValues.js'

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
export const namespacesIn = ({ variables }: Environment): ReadonlyMap<string, Map<string, Value>> =>
  new Map(
    ([...variables] as unknown as readonly (readonly [string, Value])[]).flatMap(([name, one]) =>
      one.type === 'NamespaceValue' ? [[name, one.value as Map<string, Value>] as const] : [],
    ),
  )

/** A copy of a template's variables, which later statements leave as it is. Only namespaces change, so they alone are copied. */
export const copied = ({ variables }: Environment): Environment => {
  const namespaces = new Map<Value, Value>()
  const copyValue = (value: Value): Value => {
    if (value.type !== 'NamespaceValue') return value
    const copy = namespaces.get(value) ?? like(value, new Map(value.value as Map<unknown, unknown>))
    namespaces.set(value, copy)
    return copy
  }
  const copy = new Environment()
  copy.variables = new Map([...variables].map(([name, value]) => [name, copyValue(value as unknown as Value)])) as never
  return copy
}
