/** The loops of templates, as in Jinja for Python: what they go through, the variables of an iteration, and how it ends. */
import type { Environment } from '@huggingface/jinja'
import { isList, isMap, like, templateValue, type Value } from './templateValues.js'

type Node = { readonly type: string; readonly value?: unknown }

/** end: what ended it before its end. A loop without an iteration that is complete writes its `else` block, too. */
export type Iteration = { readonly text: string; readonly end: 'break' | 'continue' | null }

/** `break` or `continue`, on its way to the loop, with what the iteration has written before it. */
export class LoopControl {
  text = ''
  constructor(readonly end: 'break' | 'continue') {}
}

/** What a loop goes through: entries, keys or characters; nothing, for what is not defined. */
export const itemsOf = (value: Value): readonly Value[] => {
  if (isList(value)) return value.value
  if (value.type === 'ObjectValue' && isMap(value)) return [...value.value.keys()].map(templateValue)
  if (value.type === 'StringValue') return [...String(value.value)].map(templateValue)
  if (value.type === 'UndefinedValue') return []
  throw new Error(`a loop over a ${value.type}`)
}

/** A scope with the variables of an iteration: the item, or the parts of it. */
export const bound = (loopvar: Node, item: Value, scope: Environment): Environment => {
  if (loopvar.type === 'Identifier') {
    scope.variables.set(String(loopvar.value), item as never)
    return scope
  }
  const [names, parts] = [loopvar.value as readonly Node[], itemsOf(item)]
  if (loopvar.type !== 'TupleLiteral' || names.length !== parts.length)
    throw new Error(`${names.length} variables for ${parts.length} values`)
  for (const [i, name] of names.entries()) bound(name, parts[i] as Value, scope)
  return scope
}

const [emptyObject, undefinedValue] = [templateValue({}), templateValue(undefined)]

/** The `loop` of iteration `i`, from 0. */
export const loopOf = (items: readonly Value[], i: number): Value => {
  const [count, first, last] = [items.length, i === 0, i === items.length - 1]
  const facts = { index: i + 1, index0: i, revindex: count - i, revindex0: count - i - 1, first, last, length: count }
  return like(
    emptyObject,
    new Map([
      ...Object.entries(facts).map(([name, value]) => [name, templateValue(value)] as const),
      ['previtem', items[i - 1] ?? undefinedValue],
      ['nextitem', items[i + 1] ?? undefinedValue],
    ]),
  )
}
