/** The interpreter of chat templates, with what Jinja does in Python and the library does otherwise without a word. */
import { Environment, Interpreter } from '@huggingface/jinja'
import {
  addMarkup,
  findEntry,
  filters,
  numberedObject,
  operators,
  sides,
  stripped,
  tests,
  textMethods,
  type Test,
} from './pythonOperations.js'
import { pythonText } from './pythonText.js'
import { isList, isTrue, like, templateValue, type Value, type Variables, isMap } from './templateValues.js'

type Node = {
  readonly type: string
  readonly value?: unknown
  readonly computed?: boolean
  readonly object?: Node
  readonly property?: Node
  readonly callee?: Node
  readonly args?: readonly Node[]
  readonly left?: Node
  readonly right?: Node
  readonly operator?: { readonly value: string }
  readonly operand?: Node
  readonly test?: { readonly value: string }
  readonly negate?: boolean
}
type Loop = {
  readonly loopvar: Node
  readonly iterable: Node & { readonly lhs?: Node }
  readonly body: readonly Node[]
  readonly defaultBlock: readonly Node[]
}
type Scope = { readonly tests: ReadonlyMap<string, Test> }
type Evaluator = {
  readonly run: (program: unknown) => Value
  evaluate(node: unknown, environment: unknown): Value
  evaluateArguments(args: readonly unknown[], environment: unknown): readonly [readonly Value[], ReadonlyMap<string, Value>]
  evaluateBinaryExpression(node: Node, environment: unknown): Value
  evaluateBlock(statements: readonly unknown[], environment: unknown): Value
  evaluateCallExpression(node: Node, environment: unknown): Value
  evaluateFor(node: Loop, environment: Variables): Value
  evaluateMemberExpression(node: Node, environment: unknown): Value
  evaluateTestExpression(node: Node, environment: unknown): Value
  applyFilter(operand: Value, filter: Node, environment: unknown): Value
}
const JinjaInterpreter = Interpreter as unknown as new (environment: unknown) => Evaluator

/** A value in the place of a node that has been evaluated. */
const toValueNode = (value: Value): Node => ({ type: 'Given', value })

/** Statements, which write nothing themselves and have the value of none. */
const silent: readonly string[] = ['Set', 'Macro', 'Comment']

/** What a statement or an expression of a template writes. */
export const writtenBy = (node: unknown, value: Value): string => (silent.includes((node as Node).type) ? '' : pythonText(value))

export class PythonJinja extends JinjaInterpreter {
  override evaluate(node: unknown, environment: unknown): Value {
    const { type, value } = (node ?? {}) as Node
    if (type === 'Given') return value as Value
    if (type === 'ObjectLiteral' && hasNumberedKeys(value as ReadonlyMap<Node, Node>))
      return numberedObject(
        [...(value as ReadonlyMap<Node, Node>)].map(([key, part]) => [this.evaluate(key, environment), this.evaluate(part, environment)]),
      )
    if (type === 'Break' || type === 'Continue') throw new LoopControl(type === 'Break' ? 'break' : 'continue')
    return super.evaluate(node, environment)
  }

  override evaluateBlock(statements: readonly unknown[], environment: unknown): Value {
    let text = ''
    try {
      for (const statement of statements) text += writtenBy(statement, this.evaluate(statement, environment))
    } catch (thrown) {
      if (thrown instanceof LoopControl) thrown.text = text + thrown.text
      throw thrown
    }
    return templateValue(text)
  }

  /** The library drops what an iteration writes before `continue` and `break`, and keeps its variables for the next one. */
  override evaluateFor({ loopvar, iterable, body, defaultBlock }: Loop, environment: Variables): Value {
    const openScope = (item: Value): Variables => bound(loopvar, item, new Environment(environment as never))
    const { lhs = iterable, test } = (iterable.type === 'SelectExpression' ? iterable : {}) as { lhs?: Node; test?: Node }
    const all = listItems(this.evaluate(lhs, environment))
    this.spend(4 * all.length)
    const items = test === undefined ? all : all.filter((item) => isTrue(this.evaluate(test, openScope(item))))
    let [text, isComplete] = ['', false]
    for (const [i, item] of items.entries()) {
      const scope = openScope(item)
      scope.variables.set('loop', makeLoop(items, i) as never)
      const { text: written, end } = this.iteration(body, scope)
      text += written
      if (end === null) isComplete = true
      if (end === 'break') break
    }
    if (isComplete) return templateValue(text)
    return templateValue(text + String(this.evaluateBlock(defaultBlock, new Environment(environment as never)).value))
  }

  protected iteration(body: readonly unknown[], scope: Variables): Iteration {
    try {
      return { text: String(this.evaluateBlock(body, scope).value), end: null }
    } catch (thrown) {
      if (thrown instanceof LoopControl) return thrown
      throw thrown
    }
  }

  override evaluateBinaryExpression(node: Node, environment: unknown): Value {
    const operate = findEntry(operators, node.operator?.value ?? '')
    if (operate === undefined) return super.evaluateBinaryExpression(node, environment)
    const [left, right] = [this.evaluate(node.left, environment), this.evaluate(node.right, environment)]
    const marked = node.operator?.value === '+' ? addMarkup(left, right) : null
    if (marked !== null) return marked
    const result = operate(left, right)
    return result === null
      ? super.evaluateBinaryExpression({ ...node, left: toValueNode(left), right: toValueNode(right) }, environment)
      : templateValue(result)
  }

  override evaluateTestExpression(node: Node, environment: unknown): Value {
    const test = findEntry(tests, node.test?.value ?? '')
    if (test === undefined) return super.evaluateTestExpression(node, environment)
    return templateValue(test(this.evaluate(node.operand, environment), undefinedValue) !== (node.negate === true))
  }

  /** A dictionary's methods come before its keys, as in `parameters.items()`, and a text has characters, not units of UTF-16. */
  override evaluateMemberExpression(node: Node, environment: unknown): Value {
    const { computed = false, property } = node
    const object = this.evaluate(node.object, environment)
    if (object.type === 'UndefinedValue') throw new Error('an attribute of what is not defined')
    const delegate = (known: object): Value =>
      super.evaluateMemberExpression({ ...node, ...known, object: toValueNode(object) }, environment)
    if (computed && property?.type === 'SliceExpression') return delegate({})
    if (!computed) {
      const name = String(property?.value)
      if (object.type === 'ObjectValue' && methods.includes(name)) return findBuiltin(object, name) ?? delegate({})
      return name === 'length' && (object.type === 'StringValue' || isList(object)) ? undefinedValue : delegate({})
    }
    const index = this.evaluate(property, environment)
    if (object.type === 'StringValue' && index.type === 'IntegerValue')
      return templateValue([...String(object.value)].at(Number(index.value)))
    return delegate({ property: toValueNode(index) })
  }

  /** Methods of texts, such as `text.strip(characters)`. */
  override evaluateCallExpression(node: Node, environment: unknown): Value {
    const { callee, args = [] } = node
    const name = callee?.type === 'MemberExpression' && callee.computed !== true ? String(callee.property?.value) : ''
    const [side, textMethod] = [findEntry(sides, name), findEntry(textMethods, name)]
    if (callee?.type === 'Identifier' && this.evaluate(callee, environment).type === 'UndefinedValue')
      throw new Error(`${String(callee.value)} is not defined`)
    if (side === undefined && textMethod === undefined) return super.evaluateCallExpression(node, environment)
    const object = this.evaluate(callee?.object, environment)
    const [characters, ...others] = args.map((arg) => this.evaluate(arg, environment))
    const isPlain = object.type === 'StringValue' && others.length === 0
    if (isPlain && side !== undefined) return like(object, stripped(String(object.value), side, characters))
    if (isPlain && characters === undefined && textMethod !== undefined) return templateValue(textMethod(String(object.value)))
    return super.evaluateCallExpression({ ...node, callee: { ...callee, object: toValueNode(object) } as Node }, environment)
  }

  protected spend(_steps: number): void {}

  override applyFilter(operand: Value, filter: Node, environment: unknown): Value {
    if (operand.type === 'StringValue') this.spend(String(operand.value).length / 4)
    const name = String(filter.type === 'CallExpression' ? filter.callee?.value : filter.value)
    const apply = findEntry(filters, name)
    if (apply === undefined) return super.applyFilter(operand, filter, environment)
    const [values, named] = this.evaluateArguments(filter.args ?? [], environment)
    const result = apply({ operand, values, named, findTest: (test) => findEntry(tests, test) ?? (environment as Scope).tests.get(test) })
    return result ?? super.applyFilter(operand, filter, environment)
  }
}

const undefinedValue = templateValue(undefined)

/** `{0: 'a', 512: 'b'}`; not `{}` */
const hasNumberedKeys = (literal: ReadonlyMap<Node, Node>): boolean =>
  literal.size > 0 && [...literal.keys()].every(({ type }) => type === 'IntegerLiteral')

/** Those of a dictionary that the library has. */
const methods: readonly string[] = ['items', 'keys', 'values', 'get']

const findBuiltin = (object: Value, name: string): Value | undefined =>
  (object as Value & { readonly builtins: ReadonlyMap<string, Value> }).builtins.get(name)

/** end: what ended it before its end. A loop without an iteration that is complete writes its `else` block, too. */
export type Iteration = { readonly text: string; readonly end: 'break' | 'continue' | null }

/** `break` or `continue`, on its way to the loop, with what the iteration has written before it. */
class LoopControl {
  text = ''
  constructor(readonly end: 'break' | 'continue') {}
}

/** What a loop goes through: entries, keys or characters; nothing, for what is not defined. */
const listItems = (value: Value): readonly Value[] => {
  if (isList(value)) return value.value
  if (value.type === 'ObjectValue' && isMap(value)) return [...value.value.keys()].map(templateValue)
  if (value.type === 'StringValue') return [...String(value.value)].map(templateValue)
  if (value.type === 'UndefinedValue') return []
  throw new Error(`a loop over a ${value.type}`)
}

/** A scope with the variables of an iteration: the item, or the parts of it. */
const bound = (loopvar: Node, item: Value, scope: Variables): Variables => {
  if (loopvar.type === 'Identifier') {
    scope.variables.set(String(loopvar.value), item as never)
    return scope
  }
  const [names, parts] = [loopvar.value as readonly Node[], listItems(item)]
  if (loopvar.type !== 'TupleLiteral' || names.length !== parts.length)
    throw new Error(`${names.length} variables for ${parts.length} values`)
  for (const [i, name] of names.entries()) bound(name, parts[i] as Value, scope)
  return scope
}

const emptyObject = templateValue({})

/** The `loop` of iteration `i`, from 0. */
const makeLoop = (items: readonly Value[], i: number): Value => {
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
