/** All architectures, one line each. A family's sizes, names and layers belong here; methods, precisions and objectives do not. */
import type { Architecture } from './architecture.js'
import { bertArchitecture, xlmRobertaArchitecture, electraArchitecture } from './bert/bert.js'
import { debertaArchitecture } from './deberta/deberta.js'
import { distilbertArchitecture } from './distilbert/distilbert.js'
import { gemma1Architecture, gemma2Architecture, gemma3Architecture } from './gemma/gemma.js'
import { gpt2Architecture } from './gpt2/gpt2.js'
import { graniteArchitecture } from './granite/granite.js'
import { llamaArchitecture, ministralArchitecture, mistralArchitecture, qwen2Architecture, qwen3Architecture } from './llama/llama.js'
import { modernbertArchitecture } from './modernbert/modernbert.js'
import { mpnetArchitecture } from './mpnet/mpnet.js'
import { olmo2Architecture } from './olmo2/olmo2.js'
import { optArchitecture } from './opt/opt.js'
import { phi3Architecture } from './phi3/phi3.js'
import { smollm3Architecture } from './smollm3/smollm3.js'

export const architectures: readonly Architecture[] = [
  bertArchitecture,
  debertaArchitecture,
  distilbertArchitecture,
  electraArchitecture,
  gpt2Architecture,
  llamaArchitecture,
  ministralArchitecture,
  mistralArchitecture,
  qwen2Architecture,
  qwen3Architecture,
  gemma1Architecture,
  gemma2Architecture,
  gemma3Architecture,
  graniteArchitecture,
  modernbertArchitecture,
  mpnetArchitecture,
  olmo2Architecture,
  optArchitecture,
  phi3Architecture,
  smollm3Architecture,
  xlmRobertaArchitecture,
]
