/** A chat template's work, bounded: templates come from untrusted files, and Jinja can loop and double without end. */
import { PythonJinja } from './pythonJinja.js'
import { toEnvironment, isList, isMap, type Value } from './templateValues.js'

/** Steps of a template besides those for its messages, and the most of all. A step takes about a microsecond. */
const [baseSteps, mostSteps] = [1_000_000, 50_000_000]

/** Bounds on one rendering. */
export type TemplateBounds = {
  /** messages of the conversation; templates look at all of them for each of them */
  readonly messages: number
  /** characters of any value, and of the rendered text */
  readonly characters: number
}

/**
 * The text that a template makes of its variables. The work is counted step by step, so a template that loops within loops ends in
 * seconds, and nothing has to be interrupted from outside.
 * @throws Error once the template does more than `bounds` allow, or fails
 */
export const renderWithin = (parsed: unknown, variables: Readonly<Record<string, unknown>>, bounds: TemplateBounds): string =>
  String(
    new CountingInterpreter(toEnvironment(variables), bounds, baseSteps + 20 * bounds.messages ** 2 + bounds.characters / 4).run(parsed)
      .value,
  )

/** The interpreter evaluates each node of a template here, and each of its operations is on values that were evaluated here. */
export class CountingInterpreter extends PythonJinja {
  private left: number
  protected readonly sizes = new WeakMap<object, number>()
  /** for each node under evaluation, the characters of the longest text that it has read so far */
  private readonly read: Array<{ readonly searches: boolean; longest: number }> = []

  /** @param steps the most, up to those of any template */
  constructor(
    environment: unknown,
    private readonly bounds: TemplateBounds,
    steps: number,
  ) {
    super(environment)
    this.left = Math.min(steps, mostSteps)
  }

  override evaluate(node: unknown, environment: unknown): Value {
    this.spend(1)
    const parent = this.read.at(-1)
    const own = { searches: searches(node), longest: 0 }
    this.read.push(own)
    const value = this.evaluated(node, environment)
    const size = this.measureSize(value)
    if (size > this.bounds.characters) throw new Error(`a value of ${size} characters, more than ${this.bounds.characters}`)
    this.spend(this.countSteps(value, size))
    // A method stands for the text that it belongs to.
    const text = value.type === 'FunctionValue' ? own.longest : value.type === 'StringValue' ? size : 0
    if (parent === undefined) return value
    // Finding one text in another takes up to the product of their lengths.
    if (parent.searches) this.spend((parent.longest * text) / 5_000)
    parent.longest = Math.max(parent.longest, text)
    return value
  }

  /** Jinja throws `break` and `continue` through the nodes that they leave: these are no longer under evaluation either. */
  private evaluated(node: unknown, environment: unknown): Value {
    try {
      return super.evaluate(node, environment)
    } finally {
      this.read.pop()
    }
  }

  /** Steps to take a value in hand: whatever works on a list goes through it. */
  protected countSteps(value: Value, size: number): number {
    return isList(value) ? 4 * value.value.length : size / 64
  }

  protected override spend(count: number): void {
    this.left -= count
    if (this.left < 0) throw new Error('more steps than a conversation needs; does it loop within loops?')
  }

  /** The characters of a value as JSON, about: a list that holds another one twice writes it twice. */
  protected measureSize(value: Value): number {
    if (value.type === 'StringValue') return String(value.value).length
    if (!isList(value) && !isMap(value)) return 0
    const known = this.sizes.get(value)
    if (known !== undefined) return known
    const entries = isList(value) ? value.value : [...value.value.values()]
    const size = entries.reduce((sum, entry) => sum + 2 + this.measureSize(inside(entry)), 2)
    // A namespace changes; lists and objects do not.
    if (value.type !== 'NamespaceValue') this.sizes.set(value, size)
    return size
  }
}

/** Whether a node may look for one of the texts that it reads in another: `a in b`, a filter, or a call. */
const searches = (node: unknown): boolean => {
  const { type, operator } = (node ?? {}) as { readonly type?: string; readonly operator?: { readonly value?: string } }
  return type === 'FilterExpression' || type === 'CallExpression' || (type === 'BinaryExpression' && /in$/.test(operator?.value ?? ''))
}

/** @throws Error if it is a namespace: it could hold the value that it is in */
const inside = (entry: Value): Value => {
  if (entry.type === 'NamespaceValue') throw new Error('a namespace inside another value')
  return entry
}
