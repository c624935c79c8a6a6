/** Mistral (2023): LLaMA with a window in every layer. In llama.cpp it is LLaMA. */
import type { Architecture } from '../architecture.js'
import { llama, type FamilyDesign } from '../llama/family.js'
import { decoderArchitecture } from '../llama/llama.js'

export const mistral: FamilyDesign = { ...llama, modelType: 'mistral', classNames: ['Mistral', 'Mistral'], windowed: 'everywhere' }

const entry = decoderArchitecture(mistral)

export const mistralArchitecture: Architecture = { ...entry, gguf: { ...entry.gguf, read: null } }
