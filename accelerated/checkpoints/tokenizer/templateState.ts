/** A template's state while it is rendered in one pass: what it may not read, and copies for the beginnings of the conversation. */
import { Environment } from '@huggingface/jinja'
import { CountingInterpreter } from './boundedTemplate.js'
import type { Value } from './templateValues.js'

/** The template asks for what one pass does not show. */
export class Unsupported extends Error {}
export const unsupported = (what: string): Error => new Unsupported(`one pass does not show ${what}`)

/** What a loop knows of an iteration only once it knows the next ones. */
const ahead: ReadonlyArray<string> = ['last', 'nextitem', 'revindex', 'revindex0', 'length']

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

export const isTrue = (value: Value): boolean => (value as Value & { readonly __bool__: () => Value }).__bool__().value === true

/** The class of what a statement throws: Jinja does not export those of `break` and `continue`. */
const classThrown = (type: string): (new () => unknown) => {
  try {
    new CountingInterpreter(new Environment(), { messages: 0, characters: 0 }, 100).evaluate({ type }, new Environment())
  } catch (thrown) {
    return (thrown as object).constructor as new () => unknown
  }
  throw new Error(`expected an error of ${type}, got none`)
}
export const thrownBy = { Break: classThrown('Break'), Continue: classThrown('Continue') }

/** The entries of the namespaces, by their variables' names. */
export const namespacesIn = ({ variables }: Environment): ReadonlyMap<string, Map<string, Value>> =>
  new Map(
    ([...variables] as unknown as ReadonlyArray<readonly [string, Value]>).flatMap(([name, one]) =>
      one.type === 'NamespaceValue' ? [[name, one.value as Map<string, Value>] as const] : [],
    ),
  )

export type Copy = { readonly scope: Environment; readonly top: Environment }

/** The variables of a loop and those around it. Only namespaces change, so they alone are copied. */
export const copied = (scope: Environment, top: Environment): Copy => {
  const namespaces = new Map<unknown, unknown>()
  const copyOf = (value: Value): unknown => {
    if (value.type !== 'NamespaceValue') return value
    const known = namespaces.get(value)
    if (known !== undefined) return known
    const copy = new (value.constructor as new (entries: Map<unknown, unknown>) => unknown)(new Map(value.value as Map<unknown, unknown>))
    namespaces.set(value, copy)
    return copy
  }
  const environment = ({ variables }: Environment, parent?: Environment): Environment => {
    const copy = new Environment(parent)
    copy.variables = new Map([...variables].map(([name, value]) => [name, copyOf(value as unknown as Value)])) as never
    return copy
  }
  const outer = environment(top)
  return { top: outer, scope: environment(scope, outer) }
}
