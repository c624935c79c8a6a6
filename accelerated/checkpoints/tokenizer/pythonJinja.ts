/** The interpreter of chat templates, with what Jinja does in Python and the library does not: characters to strip, and tests of missing attributes. */
import { Environment, Interpreter } from '@huggingface/jinja'
import { strip, type Sides } from './strip.js'

/** A value of a template, and the part of the interpreter that is used here: the library's declarations do not resolve. */
export type Value = { readonly type: string; readonly value: unknown }
type Node = {
  readonly type: string
  readonly value?: unknown
  readonly computed?: boolean
  readonly object?: Node
  readonly property?: Node
  readonly callee?: Node
  readonly args?: ReadonlyArray<Node>
}
type Test = (value: Value, argument?: Value) => boolean
type Scope = { readonly tests: ReadonlyMap<unknown, Test> }
type Evaluator = {
  readonly run: (program: unknown) => Value
  evaluate(node: unknown, environment: unknown): Value
  evaluateBlock(statements: ReadonlyArray<unknown>, environment: unknown): Value
  evaluateCallExpression(node: Node, environment: unknown): Value
  applyFilter(operand: Value, filter: Node, environment: unknown): Value
}
const JinjaInterpreter = Interpreter as unknown as new (environment: unknown) => Evaluator

const undefinedValue = (new Environment() as unknown as { readonly lookupVariable: (name: string) => Value }).lookupVariable('undefined')

/** A value of the same class. */
const like = (value: Value, content: unknown): Value => new (value.constructor as new (content: unknown) => Value)(content)

const sides: Readonly<Record<string, Sides>> = {
  strip: { left: true, right: true },
  lstrip: { left: true, right: false },
  rstrip: { left: false, right: true },
}

export class PythonJinja extends JinjaInterpreter {
  /** `text.strip(characters)`: the library ignores the characters, and strips white space. */
  override evaluateCallExpression(node: Node, environment: unknown): Value {
    const { callee, args: [only, ...others] = [] } = node
    const side = callee?.type === 'MemberExpression' && callee.computed !== true ? sides[String(callee.property?.value)] : undefined
    if (side === undefined || only === undefined || others.length > 0) return super.evaluateCallExpression(node, environment)
    const [text, characters] = [this.evaluate(callee?.object, environment), this.evaluate(only, environment)]
    if (text.type !== 'StringValue' || characters.type !== 'StringValue')
      throw new Error(`strip: expected a text and its characters, got ${text.type} and ${characters.type}`)
    const dropped = new Set(String(characters.value))
    return like(
      text,
      strip(String(text.value), side, (character) => dropped.has(character)),
    )
  }

  /** `selectattr('name', 'undefined')`: for an item without the attribute, the library does not run the test, but takes it as failed. */
  override applyFilter(operand: Value, filter: Node, environment: unknown): Value {
    const name = filter.callee?.value
    const args = filter.args ?? []
    if (!Array.isArray(operand.value) || (name !== 'selectattr' && name !== 'rejectattr') || args.length < 2)
      return super.applyFilter(operand, filter, environment)
    const [attribute, test, argument] = args.map((arg) => this.evaluate(arg, environment))
    const passes = (environment as Scope).tests.get(test?.value)
    if (passes === undefined) throw new Error(`Unknown test: ${String(test?.value)}`)
    const items = operand.value as ReadonlyArray<Value>
    const selected = items.filter(({ value }) => {
      if (!(value instanceof Map)) throw new Error(`${name}: expected a list of objects`)
      return passes((value.get(attribute?.value) as Value | undefined) ?? undefinedValue, argument) === (name === 'selectattr')
    })
    return like(operand, selected)
  }
}
