/** JSON schemas as grammars: the texts of a grammar are JSON that fits its schema. What it cannot hold is rejected by name. */
import { inputError, quoted } from '../errors/inputError.js'
import { byteIn, choice, later, literal, repeat, sequence, type Grammar } from './grammar.js'

type Json = unknown
type Table = Readonly<Record<string, Json>>

/** Schemas in a schema, and how deep they nest; levels of JSON that no schema describes; digits of a number: more lose precision or overflow. */
const [mostSchemas, mostLevels, freeLevels, digits] = [10_000, 64, 24, 15]

const empty = sequence()
const optional = (grammar: Grammar): Grammar => choice(empty, grammar)

/** Blanks that JSON may have between its parts: a space, or a new line with its indentation. */
const blanks = choice(empty, literal(' '), sequence(literal('\n'), repeat(byteIn([0x09, 0x09], [0x20, 0x20]), 0, 20)))

const hex = byteIn([0x30, 0x39], [0x41, 0x46], [0x61, 0x66])
const rest = byteIn([0x80, 0xbf])
/** A character from \uD000 on, escaped. @param third its next digit */
const escapedHigh = (third: Grammar): Grammar => sequence(literal('\\u'), byteIn([0x44, 0x44], [0x64, 0x64]), third, hex, hex)
/** A character of a string: in UTF-8, or escaped. Half a surrogate pair is none. */
const character = choice(
  byteIn([0x20, 0x21], [0x23, 0x5b], [0x5d, 0x7f]),
  sequence(byteIn([0xc2, 0xdf]), rest),
  sequence(literal('\\'), byteIn(...[...'"\\/', 'b', 'f', 'n', 'r', 't'].map((one) => [one.charCodeAt(0), one.charCodeAt(0)] as const))),
  sequence(literal('\\u'), byteIn([0x30, 0x39], [0x41, 0x43], [0x45, 0x46], [0x61, 0x63], [0x65, 0x66]), hex, hex, hex),
  escapedHigh(byteIn([0x30, 0x37])), // no surrogate
  sequence(escapedHigh(byteIn([0x38, 0x39], [0x41, 0x42], [0x61, 0x62])), escapedHigh(byteIn([0x43, 0x46], [0x63, 0x66]))),
  sequence(byteIn([0xe0, 0xe0]), byteIn([0xa0, 0xbf]), rest),
  sequence(byteIn([0xe1, 0xec], [0xee, 0xef]), rest, rest),
  sequence(byteIn([0xed, 0xed]), byteIn([0x80, 0x9f]), rest),
  sequence(byteIn([0xf0, 0xf0]), byteIn([0x90, 0xbf]), rest, rest),
  sequence(byteIn([0xf1, 0xf3]), rest, rest, rest),
  sequence(byteIn([0xf4, 0xf4]), byteIn([0x80, 0x8f]), rest, rest),
)
const string = (min: number, max: number): Grammar => sequence(literal('"'), repeat(character, min, max), literal('"'))
const anyString = string(0, Infinity)

const digit = byteIn([0x30, 0x39])
const integer = sequence(optional(literal('-')), choice(literal('0'), sequence(byteIn([0x31, 0x39]), repeat(digit, 0, digits - 1))))
const fraction = sequence(literal('.'), repeat(digit, 1, digits))
const exponent = sequence(choice(literal('e'), literal('E')), optional(choice(literal('+'), literal('-'))), repeat(digit, 1, 2))
const number = sequence(integer, optional(fraction), optional(exponent))
const boolean = choice(literal('true'), literal('false'))

/** Any number of items from `min` to `max`, and the closing bracket. */
const items = (item: Grammar, min: number, max: number, close: string): Grammar => {
  const end = sequence(blanks, literal(close))
  if (max === 0) return sequence(blanks, literal(close))
  const some = sequence(blanks, item, repeat(sequence(blanks, literal(','), blanks, item), Math.max(0, min - 1), max - 1), end)
  return min === 0 ? choice(end, some) : some
}
const array = (item: Grammar, min = 0, max = Infinity): Grammar => sequence(literal('['), items(item, min, max, ']'))
const pair = (key: Grammar, value: Grammar): Grammar => sequence(key, blanks, literal(':'), blanks, value)
/** An object with any keys. */
const map = (value: Grammar): Grammar => sequence(literal('{'), items(pair(anyString, value), 0, Infinity, '}'))

const freeObjects = new Map<number, Grammar>()
const freeObject = (levels: number): Grammar => {
  const one = freeObjects.get(levels) ?? later(() => map(anyValue(levels - 1)))
  freeObjects.set(levels, one)
  return one
}
const freeValues = new Map<number, Grammar>()
/** Any JSON that nests at most so deep. */
const anyValue = (levels: number): Grammar => {
  const scalars = [anyString, number, boolean, literal('null')]
  const one =
    freeValues.get(levels) ?? later(() => choice(...scalars, ...(levels > 0 ? [freeObject(levels), array(anyValue(levels - 1))] : [])))
  freeValues.set(levels, one)
  return one
}

/** Any JSON object. */
export const jsonObject: Grammar = freeObject(freeLevels)

const types = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const
type Type = (typeof types)[number]

/** Keywords that say nothing of the values, and those that do. */
const notes = [
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
  '$schema',
  '$id',
  '$comment',
  '$defs',
  'definitions',
]
const keywords: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength'],
}
const typed = Object.values(keywords).flat()

/** The texts of JSON that fits a schema. @param where names it in errors @throws InputError for a schema that nothing fits, or that is not supported */
export const schemaGrammar = (schema: Json, where = 'schema'): Grammar => readSchemas(schema, where)(schema, where, 0)

const isTable = (value: Json): value is Table => typeof value === 'object' && value !== null && !Array.isArray(value)

type Read = (schema: Json, where: string, level: number) => Grammar

const readSchemas = (root: Json, rootName: string): Read => {
  const references = new Map<string, Grammar | null>() // null: it is being read
  let count = 0
  const reference = (name: string, where: string, level: number): Grammar => {
    const known = references.get(name)
    if (known === null) throw inputError(where, 'a $ref that does not contain itself (recursion is not supported)', quoted(name))
    if (known !== undefined) return known
    references.set(name, null)
    const grammar = read(resolve(root, name, where), `${rootName}${name.slice(1).replaceAll('/', '.')}`, level)
    references.set(name, grammar)
    return grammar
  }
  const read: Read = (schema, where, level) => {
    if (++count > mostSchemas) throw inputError(rootName, `at most ${mostSchemas} schemas in it`, 'more')
    if (level > mostLevels) throw inputError(rootName, `at most ${mostLevels} levels`, 'more')
    if (schema === true) return anyValue(freeLevels)
    if (!isTable(schema)) throw inputError(where, 'a schema that some value fits', JSON.stringify(schema) ?? 'nothing')
    const given = Object.keys(schema).filter((key) => !notes.includes(key) && schema[key] !== undefined)
    const one = ['$ref', 'anyOf', 'oneOf', 'enum', 'const'].find((key) => given.includes(key))
    const allowed = one === undefined ? [...typed, 'type'] : one === 'enum' || one === 'const' ? [one, 'type'] : [one]
    const other = given.find((key) => !allowed.includes(key))
    if (other !== undefined)
      throw inputError(
        where,
        'keywords that are supported',
        one === undefined || !(typed.includes(other) || other === 'type') ? other : `${other} beside ${one}`,
      )
    if (one === '$ref') return reference(String(schema['$ref']), where, level + 1)
    if (one === 'anyOf' || one === 'oneOf') return union(schema[one], `${where}.${one}`, level, one === 'oneOf')
    if (one === 'enum' || one === 'const') return values(schema, one, where)
    const wanted = readTypes(schema, where)
    return wanted.length === types.length ? anyValue(freeLevels) : choice(...wanted.map((type) => ofType(type, schema, where, level)))
  }
  const union = (options: Json, where: string, level: number, isExclusive: boolean): Grammar => {
    if (!Array.isArray(options) || options.length === 0) throw inputError(where, 'a list of schemas', JSON.stringify(options) ?? 'nothing')
    if (isExclusive) checkApart(root, options, where)
    return choice(...options.map((option, i) => read(option, `${where}.${i}`, level + 1)))
  }
  const ofType = (type: Type, schema: Table, where: string, level: number): Grammar => {
    if (type === 'object') return object(read, schema, where, level)
    if (type === 'array') {
      const [min, max] = bounds(schema, 'minItems', 'maxItems', where)
      const item = schema['items'] === undefined ? anyValue(freeLevels) : null
      return max === 0 ? array(literal('null'), 0, 0) : array(item ?? read(schema['items'], `${where}.items`, level + 1), min, max)
    }
    if (type === 'string') return string(...bounds(schema, 'minLength', 'maxLength', where))
    return { number, integer, boolean, null: literal('null') }[type]
  }
  return read
}

/** Properties come in the order of the schema; those that are not required may be left out. */
const object = (read: Read, schema: Table, where: string, level: number): Grammar => {
  const { properties = {}, required = [], additionalProperties: others } = schema
  if (!isTable(properties)) throw inputError(`${where}.properties`, 'schemas by name', JSON.stringify(properties))
  if (!Array.isArray(required) || !required.every((name) => typeof name === 'string'))
    throw inputError(`${where}.required`, 'a list of names', JSON.stringify(required))
  const missing = required.filter((name) => !Object.hasOwn(properties, name))
  if (missing.length > 0 && others === false)
    throw inputError(
      where,
      'properties for all that is required, as additionalProperties is false',
      `none for ${quoted(String(missing[0]))}`,
    )
  const free = isTable(others) ? read(others, `${where}.additionalProperties`, level + 1) : anyValue(freeLevels - 1)
  const names = [...new Set([...Object.keys(properties), ...missing])]
  if (names.length === 0) return others === false ? sequence(literal('{'), blanks, literal('}')) : map(free)
  const close = sequence(blanks, literal('}'))
  // from the last property to the first: what follows when none has been written yet, and when one has
  const [first] = names.reduceRight<readonly [first: Grammar, after: Grammar]>(
    ([first, after], name) => {
      const value = Object.hasOwn(properties, name) ? read(properties[name], `${where}.properties.${name}`, level + 1) : free
      const written = sequence(pair(literal(JSON.stringify(name)), value), after)
      const [begin, go] = [sequence(blanks, written), sequence(blanks, literal(','), blanks, written)]
      return required.includes(name) ? [begin, go] : [choice(begin, first), choice(go, after)]
    },
    [close, close],
  )
  return sequence(literal('{'), first)
}

/** The schema that `#/$defs/name` points to. @throws InputError */
const resolve = (root: Json, name: string, where: string): Json => {
  const parts = name.split('/').map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  if (parts[0] !== '#') throw inputError(where, 'a $ref into the schema, such as #/$defs/name', quoted(name))
  return parts.slice(1).reduce<Json>((at, part) => {
    if ((!isTable(at) && !Array.isArray(at)) || !Object.hasOwn(at, part))
      throw inputError(where, 'a $ref to a part of the schema', quoted(name))
    return (at as Table)[part]
  }, root)
}

/** The types that a schema admits: those it names, or what its keywords are about. */
const readTypes = (schema: Table, where: string): readonly Type[] => {
  const { type } = schema
  const named =
    type === undefined ? Object.keys(keywords).filter((one) => keywords[one]?.some((key) => schema[key] !== undefined)) : [type].flat()
  if (type === undefined && named.length === 0) return types
  const other = named.find((one) => !types.includes(one as Type))
  if (named.length === 0 || other !== undefined) throw inputError(`${where}.type`, `one of ${types.join(', ')}`, JSON.stringify(type))
  return named as unknown as readonly Type[]
}

const bounds = (schema: Table, least: string, most: string, where: string): readonly [number, number] => {
  const bound = (key: string, otherwise: number): number => {
    const value = schema[key] ?? otherwise
    if (value === otherwise || (Number.isSafeInteger(value) && Number(value) >= 0)) return Number(value)
    throw inputError(`${where}.${key}`, 'a whole number from 0', JSON.stringify(value))
  }
  const [min, max] = [bound(least, 0), bound(most, Infinity)]
  if (min > max) throw inputError(where, `${least} of at most ${most}, since nothing fits otherwise`, `${min} and ${max}`)
  return [min, max]
}

/** The values of `enum` or `const` that have the type, as JSON.stringify writes them. */
const values = (schema: Table, key: 'enum' | 'const', where: string): Grammar => {
  const [wanted, given] = [readTypes({ type: schema['type'] }, where), key === 'const' ? [schema['const']] : schema['enum']]
  const able = Array.isArray(given)
    ? given.filter((one) => wanted.some((type) => type === typeOf(one) || (type === 'number' && typeOf(one) === 'integer')))
    : []
  if (able.length === 0) throw inputError(where, `${key} with a value of the type`, JSON.stringify(given))
  return choice(...able.map((one) => literal(JSON.stringify(one))))
}

const typeOf = (value: Json): Type => {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return Number.isInteger(value) ? 'integer' : (typeof value as Type)
}

/** Comparisons of alternatives of oneOf. */
const mostComparisons = 100_000

/** A value that fits two schemas of oneOf does not fit it. @throws InputError unless types, constants or a required property tell them apart */
const checkApart = (root: Json, options: readonly Json[], where: string): void => {
  let left = mostComparisons
  const alternatives = (schema: Json, level: number): readonly Table[] | null => {
    if (!isTable(schema) || level > 8) return null
    if (typeof schema['$ref'] === 'string') return alternatives(resolve(root, schema['$ref'], where), level + 1)
    const inner = schema['anyOf'] ?? schema['oneOf']
    if (!Array.isArray(inner)) return [schema]
    const all = inner.map((one) => alternatives(one, level + 1))
    return all.includes(null) ? null : all.flatMap((one) => one ?? [])
  }
  const constants = (schema: Table): readonly Json[] | null =>
    'const' in schema ? [schema['const']] : Array.isArray(schema['enum']) ? schema['enum'] : null
  const typesOf = (schema: Table): readonly string[] => {
    const listed = constants(schema)?.map(typeOf) ?? (schema['type'] === undefined ? types : [schema['type']].flat())
    return listed.includes('number') ? [...(listed as readonly string[]), 'integer'] : (listed as readonly string[])
  }
  const areApart = (a: Json, b: Json, level: number): boolean => {
    const [as, bs] = [alternatives(a, level), alternatives(b, level)]
    return as !== null && bs !== null && as.every((one) => bs.every((other) => --left > 0 && tellApart(one, other, level)))
  }
  const tellApart = (a: Table, b: Table, level: number): boolean => {
    if (!typesOf(a).some((type) => typesOf(b).includes(type))) return true
    const [as, bs] = [constants(a), constants(b)].map((list) => list?.map((one) => JSON.stringify(one)))
    if (as !== undefined && bs !== undefined) return !as.some((one) => bs.includes(one))
    const [required, others] = [a['required'], b['required']]
    const [mine, theirs] = [a['properties'], b['properties']]
    if (!Array.isArray(required) || !Array.isArray(others) || !isTable(mine) || !isTable(theirs)) return false
    if (String(typesOf(a)) !== 'object' || String(typesOf(b)) !== 'object') return false
    return required.some((name) => others.includes(name) && areApart(mine[String(name)], theirs[String(name)], level + 1))
  }
  options.forEach((one, i) => {
    const other = options.slice(0, i).findIndex((earlier) => !areApart(earlier, one, 0))
    if (other >= 0)
      throw inputError(
        where,
        'alternatives of which a value fits only one (else write anyOf)',
        `numbers ${other} and ${i}, which may overlap`,
      )
  })
}
