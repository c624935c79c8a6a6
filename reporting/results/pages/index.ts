/** All results pages, one line each. */
import type { ResultsPage } from '../page.js'
import { chooseAMethodPage } from './chooseAMethod.js'
import { embeddedModelPage } from './embeddedModel.js'
import { instructionTuningPage } from './instructionTuning.js'
import { int8Page } from './int8.js'
import { learningRatePage } from './learningRate.js'
import { memoryPage } from './memory.js'
import { methodsPage } from './methods.js'
import { rankOnePage } from './rankOne.js'
import { sevenBillionPage } from './sevenBillion.js'
import { smallBudgetsPage } from './smallBudgets.js'
import { smallDecoderPage } from './smallDecoder.js'
import { speedPage } from './speed.js'
import { structurePage } from './structure.js'
import { styleTransferPage } from './styleTransfer.js'
import { table3Page } from './table3.js'
import { table4Page } from './table4.js'

export const pages: ReadonlyArray<ResultsPage> = [
  structurePage,
  methodsPage,
  learningRatePage,
  smallBudgetsPage,
  rankOnePage,
  smallDecoderPage,
  table3Page,
  table4Page,
  styleTransferPage,
  instructionTuningPage,
  sevenBillionPage,
  speedPage,
  int8Page,
  memoryPage,
  embeddedModelPage,
  chooseAMethodPage,
]
