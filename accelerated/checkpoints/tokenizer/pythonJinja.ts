/** The interpreter of chat templates, with what Jinja does in Python and the library does otherwise without a word. */
import { Interpreter } from '@huggingface/jinja'
import { filters, operators, sides, stripped, tests, textMethods, type Test } from './pythonOperations.js'
import { pythonText } from './pythonText.js'
import { isList, like, templateValue, type Value } from './templateValues.js'

type Node = {
  readonly type: string
  readonly value?: unknown
  readonly computed?: boolean
  readonly object?: Node
  readonly property?: Node
  readonly callee?: Node
  readonly args?: ReadonlyArray<Node>
  readonly left?: Node
  readonly right?: Node
  readonly operator?: { readonly value: string }
  readonly operand?: Node
  readonly test?: { readonly value: string }
  readonly negate?: boolean
}
type Scope = { readonly tests: ReadonlyMap<string, Test> }
type Evaluator = {
  readonly run: (program: unknown) => Value
  evaluate(node: unknown, environment: unknown): Value
  evaluateArguments(args: ReadonlyArray<unknown>, environment: unknown): readonly [ReadonlyArray<Value>, ReadonlyMap<string, Value>]
  evaluateBinaryExpression(node: Node, environment: unknown): Value
  evaluateBlock(statements: ReadonlyArray<unknown>, environment: unknown): Value
  evaluateCallExpression(node: Node, environment: unknown): Value
  evaluateMemberExpression(node: Node, environment: unknown): Value
  evaluateTestExpression(node: Node, environment: unknown): Value
  applyFilter(operand: Value, filter: Node, environment: unknown): Value
}
const JinjaInterpreter = Interpreter as unknown as new (environment: unknown) => Evaluator

/** A value in the place of a node that has been evaluated. */
const given = (value: Value): Node => ({ type: 'Given', value })

/** Statements, which write nothing themselves and have the value of none. */
const silent: ReadonlyArray<string> = ['Set', 'Macro', 'Comment']

/** What a statement or an expression of a template writes. */
export const writtenBy = (node: unknown, value: Value): string => (silent.includes((node as Node).type) ? '' : pythonText(value))

export class PythonJinja extends JinjaInterpreter {
  override evaluate(node: unknown, environment: unknown): Value {
    return (node as Node | undefined)?.type === 'Given' ? ((node as Node).value as Value) : super.evaluate(node, environment)
  }

  override evaluateBlock(statements: ReadonlyArray<unknown>, environment: unknown): Value {
    return templateValue(statements.map((statement) => writtenBy(statement, this.evaluate(statement, environment))).join(''))
  }

  override evaluateBinaryExpression(node: Node, environment: unknown): Value {
    const operate = operators[node.operator?.value ?? '']
    if (operate === undefined) return super.evaluateBinaryExpression(node, environment)
    const [left, right] = [this.evaluate(node.left, environment), this.evaluate(node.right, environment)]
    const result = operate(left, right)
    return result === null
      ? super.evaluateBinaryExpression({ ...node, left: given(left), right: given(right) }, environment)
      : templateValue(result)
  }

  override evaluateTestExpression(node: Node, environment: unknown): Value {
    const test = tests[node.test?.value ?? '']
    if (test === undefined) return super.evaluateTestExpression(node, environment)
    return templateValue(test(this.evaluate(node.operand, environment), undefinedValue) !== (node.negate === true))
  }

  /** A dictionary's methods come before its keys, as in `parameters.items()`, and a text has characters, not units of UTF-16. */
  override evaluateMemberExpression(node: Node, environment: unknown): Value {
    const { computed = false, property } = node
    const object = this.evaluate(node.object, environment)
    if (object.type === 'UndefinedValue') throw new Error('an attribute of what is not defined')
    const delegate = (known: object): Value => super.evaluateMemberExpression({ ...node, ...known, object: given(object) }, environment)
    if (computed && property?.type === 'SliceExpression') return delegate({})
    if (!computed) {
      const name = String(property?.value)
      if (object.type === 'ObjectValue' && methods.includes(name)) return builtinOf(object, name) ?? delegate({})
      return name === 'length' && (object.type === 'StringValue' || isList(object)) ? undefinedValue : delegate({})
    }
    const index = this.evaluate(property, environment)
    if (object.type === 'StringValue' && index.type === 'IntegerValue')
      return templateValue([...String(object.value)].at(Number(index.value)))
    return delegate({ property: given(index) })
  }

  /** Methods of texts, such as `text.strip(characters)`. */
  override evaluateCallExpression(node: Node, environment: unknown): Value {
    const { callee, args = [] } = node
    const name = callee?.type === 'MemberExpression' && callee.computed !== true ? String(callee.property?.value) : ''
    const side = sides[name]
    if (side === undefined && textMethods[name] === undefined) return super.evaluateCallExpression(node, environment)
    const object = this.evaluate(callee?.object, environment)
    const [characters, ...others] = args.map((arg) => this.evaluate(arg, environment))
    const isPlain = object.type === 'StringValue' && others.length === 0
    if (isPlain && side !== undefined) return like(object, stripped(String(object.value), side, characters))
    const method = isPlain && characters === undefined ? textMethods[name] : undefined
    if (method !== undefined) return templateValue(method(String(object.value)))
    return super.evaluateCallExpression({ ...node, callee: { ...callee, object: given(object) } as Node }, environment)
  }

  override applyFilter(operand: Value, filter: Node, environment: unknown): Value {
    const name = String(filter.type === 'CallExpression' ? filter.callee?.value : filter.value)
    const apply = filters[name]
    if (apply === undefined) return super.applyFilter(operand, filter, environment)
    const [values, named] = this.evaluateArguments(filter.args ?? [], environment)
    const result = apply({ operand, values, named, testOf: (test) => tests[test] ?? (environment as Scope).tests.get(test) })
    return result ?? super.applyFilter(operand, filter, environment)
  }
}

const undefinedValue = templateValue(undefined)

/** Those of a dictionary that the library has. */
const methods: ReadonlyArray<string> = ['items', 'keys', 'values', 'get']

const builtinOf = (object: Value, name: string): Value | undefined =>
  (object as Value & { readonly builtins: ReadonlyMap<string, Value> }).builtins.get(name)
