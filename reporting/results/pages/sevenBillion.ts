/** SaLoRA steps on a model of LLaMA-7B's shape: time, memory and rate. */
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { gigabytes, thousands } from '../numbers.js'
import { markdown, type ResultsPage } from '../page.js'

type Stored = {
  readonly machine: string
  readonly layers: number
  readonly length: number
  readonly precision: string
  readonly trained: number
  readonly operations: number
  readonly secondsToWrite: number
  readonly secondsToOpen: number
  readonly secondsToCompile: number
  readonly step: { readonly seconds: number; readonly cpuSeconds: number; readonly gigaops: number }
  readonly first: { readonly seconds: number }
  readonly product: { readonly shape: string; readonly seconds: number; readonly gigaops: number }
  readonly bytes: { readonly own: number; readonly mapped: number; readonly peak: number }
  readonly pagesSwapped: number
}

export const sevenBillionPage: ResultsPage = {
  name: 'seven-billion',
  regions: (read) => {
    const stored = read('seven-billion') as Stored
    const { step, product, bytes } = stored
    const facts = [
      ['machine', stored.machine],
      ['model', `${stored.layers} layers, ${stored.precision} base`],
      ['batch', `1 × ${stored.length} tokens`],
      ['trained parameters, gates and λ included', thousands(stored.trained)],
      ['one step', `${step.seconds.toFixed(1)} s`],
      ['the first step', `${stored.first.seconds.toFixed(1)} s`],
      ['operations of one step', `${thousands(stored.operations / 1e9)} GOP`],
      ['rate', `${step.gigaops.toFixed(0)} GOP/s`],
      [`rate of one int8 product (${product.shape})`, `${product.gigaops.toFixed(0)} GOP/s`],
      ["the step's rate, of the product's", `${((100 * step.gigaops) / product.gigaops).toFixed(0)} %`],
      ['peak memory', gigabytes(bytes.peak, 1)],
      ['of that, mapped pages that the system may drop and read again', gigabytes(bytes.mapped, 1)],
      ['pages swapped', String(stored.pagesSwapped)],
      ['writing the checkpoint, once', `${stored.secondsToWrite.toFixed(0)} s`],
      ['quantizing it, once', `${stored.secondsToOpen.toFixed(0)} s`],
      ['opening the session', `${stored.secondsToCompile.toFixed(0)} s`],
    ]
    return { measured: markdown(markdownTable(['', ''], facts)) }
  },
}
