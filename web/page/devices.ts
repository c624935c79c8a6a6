/** What the page runs on: chips under the title, and the choice of processor or graphics card. */
import { byId, make } from './elements.js'
import type { Machine } from './messages.js'

const select = (id: string): HTMLSelectElement => byId<HTMLSelectElement>(id)

/** The device of the next run: int8 trains on the processor alone. */
export const selectedDevice = (): 'cpu' | 'webgpu' =>
  select('device').value === 'webgpu' && select('precision').value !== 'int8' ? 'webgpu' : 'cpu'

const chip = (text: string, title: string): HTMLElement => {
  const item = make('li', text)
  item.title = title
  return item
}

/** True ones alone: a page that is not kept yet does not work offline. */
const describeMachine = ({ isolated, threads, gpu, keeps }: Machine): readonly HTMLElement[] => [
  chip('0 bytes sent', 'The page has no server to send to: its policy allows downloads of models, and nothing else.'),
  ...(keeps
    ? []
    : [chip('This window keeps nothing: download before you close it', 'The browser blocks storage, so runs are in memory alone.')]),
  chip(
    `${threads} ${threads === 1 ? 'thread' : 'threads'}`,
    isolated ? 'of the processor' : 'Its server does not send the headers COOP and COEP, which more threads need.',
  ),
  gpu === null
    ? chip('no WebGPU', 'This browser offers no graphics card.')
    : chip(`WebGPU: ${gpu.name}`, gpu.isSoftware ? 'A program on the processor, and slower than it.' : 'A graphics card.'),
]

/** Fills the choices and says what there is. A graphics card that is a program on the processor is slower than the processor: it is not the default. */
export const showMachine = (machine: Machine): void => {
  const { methods, gpu } = machine
  byId('chips').replaceChildren(...describeMachine(machine))
  const showOffline = (why: string): void => byId('chips').firstElementChild?.after(chip('works offline', why))
  if (machine.isOneFile) showOffline('The page is one file with its tiny model inside.')
  else navigator.serviceWorker?.ready.then(() => showOffline('This browser keeps the page and its tiny model.')).catch(() => undefined)
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
