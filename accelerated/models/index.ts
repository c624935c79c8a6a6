/** All architectures, one line each. A family's sizes, names and layers belong here; methods, precisions and objectives do not. */
import type { Architecture } from './architecture.js'
import { bertArchitecture, xlmRobertaArchitecture, electraArchitecture } from './bert/bert.js'
import { debertaArchitecture } from './deberta/deberta.js'
import { distilbertArchitecture } from './distilbert/distilbert.js'
import { gemma2Architecture, gemma3Architecture } from './gemma/gemma.js'
import { gpt2Architecture } from './gpt2/gpt2.js'
import { graniteArchitecture } from './granite/granite.js'
import { llamaArchitecture, mistralArchitecture, qwen2Architecture, qwen3Architecture } from './llama/llama.js'
import { modernbertArchitecture } from './modernbert/modernbert.js'
import { mpnetArchitecture } from './mpnet/mpnet.js'
import { optArchitecture } from './opt/opt.js'
import { phi3Architecture } from './phi3/phi3.js'

export const architectures: readonly Architecture[] = [
  bertArchitecture,
  debertaArchitecture,
  distilbertArchitecture,
  electraArchitecture,
  gpt2Architecture,
  llamaArchitecture,
  mistralArchitecture,
  qwen2Architecture,
  qwen3Architecture,
  gemma2Architecture,
  gemma3Architecture,
  graniteArchitecture,
  modernbertArchitecture,
  mpnetArchitecture,
  optArchitecture,
  phi3Architecture,
  xlmRobertaArchitecture,
]
