/** Virtual tokens of prefix and prompt tuning leave positions to the texts; their numbers are in golden/prefix and golden/prompt. */
import { describe, expect, it } from 'vitest'
import { encoderModel } from '../../../accelerated/models/bert/bert.js'
import { encoderConfig } from '../../../accelerated/models/bert/config.js'
import { runLength } from '../../../accelerated/training/runLength.js'
import { findMethod, resolveSettings } from '../../../accelerated/training/resolveSettings.js'

const roberta = encoderModel(
  encoderConfig(
    {
      ...{ model_type: 'roberta', vocab_size: 50_265, hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12 },
      ...{ intermediate_size: 3072, max_position_embeddings: 514, type_vocab_size: 1 },
    },
    'config.json',
  ),
)

describe('a run with virtual tokens', () => {
  it.each([
    ['prefix', 509, 3, null],
    ['prefix', 600, 128, "numVirtualTokens: expected at most 509, which leave 3 of the model's 512 positions to a text, got 600"],
    ['prompt', 510, 3, "numVirtualTokens: expected at most 509, which leave 3 of the model's 512 positions to a text, got 510"],
    ['prompt', 40, 472, null],
    ['prompt', 40, 473, "maxLength: expected at most the 472 of the model's 512 positions that 40 virtual tokens leave, got 473"],
  ] as const)(
    'a run with %s, %i virtual tokens and texts of %i tokens fits the positions, or reports what fits',
    (name, count, maxLength, message) => {
      const plan = () => runLength(findMethod(name), resolveSettings({ method: name, numVirtualTokens: count, maxLength }), roberta, 8)
      if (message === null) expect(plan().steps).toBeGreaterThan(0)
      else expect(plan).toThrow(expect.objectContaining({ message: message }))
    },
  )
})
