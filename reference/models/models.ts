/** The models: an encoder or a decoder, by its configuration. */
import type { Tokens } from './embeddings.js'
import type { Shape } from '../tensor/shape.js'
import type { Tensors } from '../tensor/tensor.js'
import { decoder } from './decoder.js'
import { decoderModules, decoderModuleShape, decoderShapes, type DecoderConfig } from './decoderConfig.js'
import { encoder } from './encoder.js'
import { adaptedModules, baseShapes, headShapes, moduleShape, type EncoderConfig } from './encoderConfig.js'
import type { ModelOptions, Operands, TracedModel } from './model.js'

export type ModelConfig = EncoderConfig | DecoderConfig

/** A forward pass on a batch. `masks` are scaled dropout masks by site; a decoder has none. */
export type RunModel = (operands: Operands, tokens: Tokens, masks?: Tensors) => TracedModel

export const buildModel = (config: ModelConfig, options: ModelOptions): RunModel =>
  config.family === 'decoder' ? decoder(config, options) : encoder(config, options)

/** [d, k] of each matrix that gets an adapter, first layer first. */
export const adaptedShapes = (config: ModelConfig): Readonly<Record<string, readonly [number, number]>> =>
  Object.fromEntries(
    config.family === 'decoder'
      ? decoderModules(config).map((module) => [module, decoderModuleShape(config, module)])
      : adaptedModules(config).map((module) => [module, moduleShape(config, module)]),
  )

/** Shapes of the frozen model's tensors, and of the trained head's; a decoder has no trained head. */
export const tensorShapes = (
  config: ModelConfig,
): { readonly base: Readonly<Record<string, Shape>>; readonly head: Readonly<Record<string, Shape>> } =>
  config.family === 'decoder' ? { base: decoderShapes(config), head: {} } : { base: baseShapes(config), head: headShapes(config) }
