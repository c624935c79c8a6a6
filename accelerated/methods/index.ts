/** The methods of fine-tuning, the default first: one line each. A method is one file or folder; code that several methods share is a file beside them. Training loops and file formats are elsewhere. */
import { adalora } from './adalora/adalora.js'
import { full } from './full.js'
import { houlsby, pfeiffer } from './bottleneck.js'
import { ia3 } from './ia3.js'
import { lora } from './lora.js'
import type { Method } from './method.js'
import { prefix } from './prefix.js'
import { prompt } from './prompt.js'
import { salora } from './salora/salora.js'

export const methods = [lora, salora, adalora, houlsby, pfeiffer, prefix, prompt, ia3, full] as const satisfies readonly Method[]
