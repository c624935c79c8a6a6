/** PEFT's rules for the names of modules, in lists, expressions and patterns. */
import { describe, expect, it } from 'vitest'
import { lookUpPattern, matchModules } from '../../../../accelerated/formats/peft/modulePattern.js'

describe("PEFT's rules for names", () => {
  const names = [
    'roberta.encoder.layer.1.output.dense',
    'roberta.encoder.layer.11.output.dense',
    'roberta.encoder.layer.1.attention.output.dense',
  ]

  it('a list matches whole parts of a name, an expression the whole name', () => {
    expect(matchModules(['dense'], names, 'x')).toEqual([true, true, true])
    expect(matchModules(['ense', 'layer.1'], names, 'x')).toEqual([false, false, false])
    expect(matchModules(['1.output.dense'], names, 'x')).toEqual([true, false, false])
    expect(matchModules([names[0]!], names, 'x')).toEqual([true, false, false])
    expect(matchModules('.*layer\\.1\\..*', names, 'x')).toEqual([true, false, true])
    expect(matchModules('dense', names, 'x')).toEqual([false, false, false])
    expect(matchModules('a|.*dense', names, 'x')).toEqual([true, true, true])
    expect(matchModules('roberta.*|a', ['roberta', 'xroberta', 'ab'], 'x')).toEqual([true, false, false])
    expect(matchModules('roberta|a', ['roberta.b', 'b.a', 'a'], 'x')).toEqual([false, false, true])
  })

  it('the first matching pattern counts, for a whole name or its part after a dot', () => {
    expect(lookUpPattern({ 'layer.1.output.dense': 1, '.*output.dense': 2 }, names, 'x')).toEqual([1, 2, 2])
    expect(lookUpPattern({ 'output.dense': 1, 'attention.output.dense': 2 }, names, 'x')).toEqual([1, 1, 1])
    expect(lookUpPattern({ 'utput.dense': 1 }, names, 'x')).toEqual([undefined, undefined, undefined])
    expect(lookUpPattern({ [names[0]!]: 1 }, names, 'x')).toEqual([1, undefined, undefined])
  })
})
