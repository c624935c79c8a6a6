/** The choice of processor or graphics card, and in words what the next run trains on. */
import { byId } from './elements.js'
import type { Machine } from './messages.js'

const select = (id: string): HTMLSelectElement => byId<HTMLSelectElement>(id)

/** The device of the next run: int8 trains on the processor alone. */
export const selectedDevice = (): 'cpu' | 'webgpu' =>
  select('device').value === 'webgpu' && select('precision').value !== 'int8' ? 'webgpu' : 'cpu'

/** Fills the choices and says what there is. A graphics card that is a program on the processor is slower than the processor: it is not the default. */
export const showMachine = ({ isolated, threads, methods, gpu }: Machine): void => {
  const onThreads = isolated
    ? `This page uses ${threads} ${threads === 1 ? 'thread' : 'threads'} of the processor`
    : 'This page uses one thread of the processor: its server does not send the headers COOP and COEP, which more threads need'
  const software = gpu?.isSoftware === true ? ', a program on the processor and slower than it' : ''
  const card =
    gpu === null
      ? 'It does not use a graphics card: this browser offers none by WebGPU.'
      : `It can use the graphics card ${gpu.name}${software}.`
  byId('machine').textContent = `${onThreads}. ${card}`
  select('method').replaceChildren(...methods.map((name) => new Option(name, name)))
  const choices = [new Option('processor', 'cpu'), new Option('graphics card (WebGPU)', 'webgpu')]
  if (gpu === null) for (const choice of choices.slice(1)) choice.disabled = true
  select('device').replaceChildren(...choices)
  select('device').value = gpu === null || gpu.isSoftware ? 'cpu' : 'webgpu'
  const say = (): void => {
    const isRefused = select('device').value === 'webgpu' && selectedDevice() === 'cpu'
    const where = selectedDevice() === 'webgpu' ? `on the graphics card ${gpu?.name ?? ''}, by WebGPU` : 'on the processor'
    byId('runs-on').textContent = `The run trains ${where}${isRefused ? ': WebGPU has no products in int8' : ''}.`
  }
  for (const id of ['device', 'precision']) byId(id).addEventListener('change', say)
  say()
}
