/**
 * The renderings of a conversation's beginnings, in one pass through its messages. Each beginning is what the template makes of those messages
 * alone: the interpreter leaves a copy of its state where they end, and continues. Some templates ask for messages that the pass has not reached.
 * Their beginnings are rendered one by one.
 */
import { Environment } from '@huggingface/jinja'
import { CountingInterpreter, type TemplateBounds } from './boundedTemplate.js'
import { writtenBy, type Iteration } from './pythonJinja.js'
import {
  copied,
  namespacesIn,
  OpenLoop,
  Unsupported,
  unsupported,
  toEnvironment,
  isTrue,
  templateValue,
  type Value,
} from './templateValues.js'

/** A beginning's text: the first `shared` characters of the common text, and its own `rest`. */
export type Beginning = { readonly shared: number; readonly rest: string }

export type Beginnings = {
  /** the text that all later beginnings have, too */
  readonly common: string
  /** The beginnings of `lengths` messages; those absent are rendered alone. */
  readonly of: ReadonlyMap<number, Beginning>
}

/** Steps before the messages, and for each: it is visited within the conversation, and where a beginning ends with it. */
const [baseSteps, stepsPerMessage] = [100_000, 4_000]

/**
 * @param variables those of the template, with its `messages` @param lengths the numbers of messages, ascending
 * @throws Error where the template asks for what one pass does not show, fails, or does more than `bounds` allow
 */
export const renderBeginnings = (
  parsed: { readonly body: readonly unknown[] },
  variables: Readonly<Record<string, unknown>>,
  lengths: readonly number[],
  bounds: TemplateBounds,
): Beginnings => new OnePass(toEnvironment(variables) as Environment, lengths, bounds).beginnings(parsed.body)

type List = Value & { readonly value: readonly Value[] }
/** The conversation's messages from `from` on, whose number is not known yet. Whatever needs all of them reads its `value`. */
type OpenList = List & { readonly from: number }

type Node = { readonly type: string }
type Loop = Node & {
  readonly loopvar: Node & { readonly value: string }
  readonly body: readonly Node[]
  readonly defaultBlock: readonly Node[]
}
type Condition = Node & { readonly test: Node; readonly body: readonly Node[]; readonly alternate: readonly Node[] }
type Member = Node & {
  readonly object: Node & { readonly value: string }
  readonly property: Node & { readonly value: unknown }
  readonly computed: boolean
}
type Slice = Node & { readonly start?: Node; readonly stop?: Node; readonly step?: Node }
type Statements = readonly Node[]
/** What follows the statements under evaluation, as text. */
type Rest = (environment: Environment) => string

class OnePass extends CountingInterpreter {
  private readonly messages: List
  private readonly open = new WeakSet<object>()
  /** the messages of the beginning that is completed; null in the pass itself */
  private end: number | null = null
  /** the message that the loop is at; −1 before it */
  private at = -1
  /** messages after that one which may be read: each beginning that is still to come has the next one, too */
  private ahead = 1
  /** the last message that was read before the loop */
  private deepest = -1
  private readonly found = new Map<number, Beginning>()
  private readonly text: string[] = []
  private characters = 0
  private readonly last: number
  /** in place of what differs between the beginnings */
  private readonly unknown = templateValue(undefined)

  constructor(
    private readonly top: Environment,
    private readonly lengths: readonly number[],
    bounds: TemplateBounds,
  ) {
    super(top, bounds, baseSteps + stepsPerMessage * bounds.messages + bounds.characters / 4)
    this.messages = top.lookupVariable('messages') as unknown as List
    this.last = lengths.at(-1) ?? 0
    top.variables.set('messages', this.openList(0) as never)
  }

  beginnings(statements: readonly unknown[]): Beginnings {
    if (!this.pass(statements as Statements, () => '')) throw unsupported('a template without a loop over the messages')
    return { common: this.text.join(''), of: this.found }
  }

  /** Evaluates statements up to the loop over the messages. @returns whether they hold it */
  private pass(statements: Statements, rest: Rest): boolean {
    for (const [i, statement] of statements.entries()) {
      const after: Rest = (environment) => this.blockText(statements.slice(i + 1), environment) + rest(environment)
      if (statement.type === 'If') {
        const { test, body, alternate } = statement as Condition
        if (this.pass(isTrue(this.evaluate(test, this.top)) ? body : alternate, after)) return true
        continue
      }
      const list = statement.type === 'For' ? this.findOpenList(statement) : null
      if (list !== null) {
        if (this.isCheck(statement as Loop, list)) continue
        this.loop(statement as Loop, list, after)
        return true
      }
      this.write(writtenBy(statement, this.evaluateBefore(statement)))
    }
    return false
  }

  /** A statement before the loop. What it sets by all of the messages may not be read. */
  private evaluateBefore(statement: Node): Value {
    const { assignee } = statement as Node & { readonly assignee?: Node & { readonly value: string } }
    try {
      return this.evaluate(statement, this.top)
    } catch (thrown) {
      if (!(thrown instanceof Unsupported) || statement.type !== 'Set' || assignee?.type !== 'Identifier') throw thrown
      this.top.setVariable(assignee.value, this.unknown as never)
      return this.unknown
    }
  }

  /** Whether a loop writes nothing. What it changes, differs by the number of messages, and may not be read after it. */
  private isCheck({ loopvar, body }: Loop, { from }: OpenList): boolean {
    const top = copied(this.top)
    const [before, after] = [namespacesIn(this.top), namespacesIn(top)]
    const changed = new Map<string, Set<string>>()
    this.ahead = 0
    try {
      for (this.at = from; this.at < this.last; this.at++) {
        const next = this.visit(top, loopvar, this.openLoop(from), body)
        if (next.text !== '' || next.end === 'break') return false
        for (const [name, entries] of after)
          for (const [entry, value] of entries)
            if (before.get(name)?.get(entry) !== value) changed.set(name, (changed.get(name) ?? new Set()).add(entry))
      }
    } catch {
      return false // it fails again as the loop that writes
    } finally {
      this.at = -1
      this.ahead = 1
    }
    this.reach(from)
    for (const [name, entries] of changed) for (const entry of entries) before.get(name)?.set(entry, this.unknown)
    return true
  }

  private findOpenList(statement: Node): OpenList | null {
    const { iterable, loopvar } = statement as unknown as { readonly iterable: Node; readonly loopvar: Node }
    if (!['Identifier', 'MemberExpression'].includes(iterable.type) || loopvar.type !== 'Identifier') return null
    const value = this.evaluate(iterable, this.top)
    return this.isOpen(value) ? value : null
  }

  private loop({ loopvar, body, defaultBlock }: Loop, list: OpenList, rest: Rest): void {
    const wanted = new Set(this.lengths.filter((length) => length > list.from && length > this.deepest))
    let isEmpty = true // while no iteration is complete
    for (let i = list.from; i < this.last; i++) {
      this.at = i
      if (wanted.has(i + 1)) {
        const top = copied(this.top)
        this.end = i + 1
        const own = this.visit(top, loopvar, this.lastLoop(list.from), body)
        const none = isEmpty && own.end !== null ? this.blockText(defaultBlock, new Environment(top)) : ''
        this.found.set(i + 1, { shared: this.characters, rest: own.text + none + rest(top) })
        this.end = null
      }
      if (i + 1 === this.last) return
      const { text, end } = this.visit(this.top, loopvar, this.openLoop(list.from), body)
      if (end === 'break') throw unsupported('a loop that ends before the messages do')
      isEmpty &&= end === 'continue'
      this.write(text)
    }
  }

  private visit(top: Environment, { value: name }: Loop['loopvar'], loop: Value, body: Statements): Iteration {
    const scope = new Environment(top)
    scope.variables.set('loop', loop as never)
    scope.variables.set(name, this.messages.value[this.at] as never)
    return this.iteration(body, scope)
  }

  private write(text: string): void {
    this.text.push(text)
    this.characters += text.length
  }

  private blockText(statements: Statements, environment: Environment): string {
    return String(this.evaluateBlock(statements, environment).value)
  }

  override evaluate(node: unknown, environment: unknown): Value {
    const member = node as Member | undefined
    if (member?.type === 'MemberExpression' && member.object.type === 'Identifier') {
      const list = (environment as Environment).lookupVariable(member.object.value) as unknown as Value
      const read = this.isOpen(list) ? this.readEntry(list, member, environment) : null
      if (read !== null) return read
    }
    const value = super.evaluate(node, environment)
    if (value === this.unknown) throw unsupported('a value that depends on all of the messages')
    return value
  }

  /** An entry of the messages, or those from one on; null for any other property. */
  private readEntry({ from }: OpenList, { property, computed }: Member, environment: unknown): Value | null {
    this.spend(1)
    if (computed && property.type === 'SliceExpression') {
      const { start, stop, step } = property as unknown as Slice
      if (start?.type !== 'IntegerLiteral' || stop !== undefined || step !== undefined) return null
      return this.openList(1 + this.reach(from + Number((start as Member['property']).value) - 1))
    }
    const index = computed ? this.evaluate(property, environment) : property
    if (!/^Integer/.test(index.type)) return null
    const [end, place] = [this.end, Number(index.value)]
    if (end !== null && place < 0) return this.message(Math.max(end, from) + place, from)
    if (place < 0) throw unsupported('the last messages')
    return this.message(this.reach(from + place), from)
  }

  private message(index: number, from: number): Value {
    const isThere = index >= from && index < (this.end ?? Infinity)
    return (isThere ? this.messages.value[index] : undefined) ?? templateValue(undefined)
  }

  /** Every beginning that is still to come has the messages up to this one. */
  private reach(index: number): number {
    if (this.end !== null) return index
    if (this.at === -1) this.deepest = Math.max(this.deepest, index)
    else if (index > this.at + this.ahead) throw unsupported('later messages')
    return index
  }

  private openList(from: number): OpenList {
    const listMessages = (): readonly Value[] => {
      if (this.end === null) throw unsupported('how many messages there are')
      this.spend(this.end / 64)
      return this.messages.value.slice(from, this.end)
    }
    const list = Object.create(this.messages, {
      from: { value: from },
      value: { get: listMessages },
      builtins: { get: () => new Map([['length', templateValue(listMessages().length)]]) },
      __bool__: { value: () => templateValue(this.end === null ? this.reach(from) === from : this.end > from) },
    }) as OpenList
    this.open.add(list)
    return list
  }

  private isOpen(value: Value): value is OpenList {
    return this.open.has(value)
  }

  protected override measureSize(value: Value): number {
    return super.measureSize(this.isOpen(value) ? this.messages : value)
  }

  protected override countSteps(value: Value, size: number): number {
    return this.isOpen(value) ? 1 : super.countSteps(value, size)
  }

  /** The `loop` of an iteration that another one follows. */
  private openLoop(from: number): Value {
    const ahead: readonly (readonly [string, Value])[] = [
      ['last', templateValue(false)],
      ['nextitem', this.messages.value[this.at + 1] as Value],
    ]
    return this.loopValue(new OpenLoop([...this.loopFacts(from), ...(this.ahead === 0 ? [] : ahead)]))
  }

  /** The `loop` of a beginning's last iteration. */
  private lastLoop(from: number): Value {
    const facts: readonly (readonly [string, Value])[] = [
      ...this.loopFacts(from),
      ...Object.entries({ last: true, revindex: 1, revindex0: 0, length: this.at - from + 1, nextitem: undefined }).map(
        ([name, value]) => [name, templateValue(value)] as const,
      ),
    ]
    return this.loopValue(new Map(facts))
  }

  private loopFacts(from: number): readonly (readonly [string, Value])[] {
    const [i, before] = [this.at - from, this.messages.value[this.at - 1]]
    return [
      ...Object.entries({ index: i + 1, index0: i, first: i === 0 }).map(([name, value]) => [name, templateValue(value)] as const),
      ['previtem', i > 0 && before !== undefined ? before : templateValue(undefined)],
    ]
  }

  private loopValue(facts: ReadonlyMap<string, Value>): Value {
    const empty = templateValue({})
    const loop = new (empty.constructor as new (facts: ReadonlyMap<string, Value>) => Value)(facts)
    this.sizes.set(loop, 200)
    return loop
  }
}
