/** salora generate: prompts in, text of a decoder out, as it is generated. */
import { promptTemplates, parseTemplate, type PromptTemplate } from '../../finetuning/data/promptTemplates.js'
import { orderedOutput, openGenerator, type Generator } from '../../finetuning/use/generator.js'
import { takesPromptTemplate, type TaskOptions } from '../../finetuning/tasks/index.js'
import { framed } from '../../finetuning/tasks/texts/prompts.js'
import { choiceFlag, textFlag } from '../../finetuning/commandLine/flag.js'
import { counted, plural } from '../format/numbers.js'
import { readPrompts, type GivenPrompt } from '../input/promptInput.js'
import { adapterFlags, adapterMachineFlags, adapterRequest } from '../options/adapterRequest.js'
import { generationFlags, generationRequest, stopFlags } from '../options/generationRequest.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import { watchInterrupt } from '../terminal/interrupt.js'
import { printable, type Terminal } from '../terminal/output.js'

export const generate = defineCommand({
  name: 'salora generate',
  description:
    'Generate text with a decoder: greedily, by beam search or by sampling. The text of --prompt is printed as it is generated; a file of prompts gives one JSON object per line, in order.',
  looseWords: { flags: ['run'], text: 'use --prompt for a text' },
  flags: {
    Model: adapterFlags,
    Prompts: {
      prompt: textFlag(
        'text',
        'Instruction for a run that was trained with a prompt template, or with --prompt-template; otherwise a text to continue',
      ),
      input: textFlag(
        'file',
        'JSON lines, each {"prompt"}, {"instruction", "input"} or {"messages"}, instead of --prompt; - reads standard input',
      ),
      promptTemplate: choiceFlag(
        promptTemplates,
        'name',
        `Template of prompts: ${promptTemplates.join(', ')}, which continues them as texts`,
        {
          defaultText: 'the run\'s; without a run only {"instruction"} has one: chat if the model has a chat template, else paper',
        },
      ),
    },
    Generation: { ...generationFlags, ...stopFlags },
    Machine: adapterMachineFlags(['device', 'precision', 'threads']),
  },
  examples: [
    {
      command: "salora generate --model models/smollm2 --prompt 'The capital of France is' --max-new-tokens 20",
      result: 'Prints the continuation as it is generated.',
    },
    {
      command: 'salora generate --run runs/alpaca-salora-1 --input prompts.jsonl --num-beams 4 > answers.jsonl',
      result: 'Writes {"prompt","text","tokens","ended"} per line; ended is "end", "stop" or "length".',
    },
  ],
  run: async ({ prompt, input, promptTemplate, stop, ...flags }, terminal) => {
    const settings = { ...generationRequest(flags), stop }
    const { run, model, adapter: folder, device, precision, threads } = flags
    const { adapter, runTask } = await adapterRequest({ run, model, adapter: folder, device, precision, threads })
    const prompts = await framedPrompts({ prompt, input, template: promptTemplate }, runTask)
    const generator = await openGenerator(adapter)
    // Before the signals are watched: until then Ctrl-C ends the process at once.
    const ids = encoded(generator, prompts)
    const interrupt = watchInterrupt(
      () => terminal.note('stopping after this token; press Ctrl-C again to exit at once'),
      () => undefined,
    )
    try {
      const answers = await writeAnswers(
        generator,
        { prompts, ids },
        settings,
        { signal: interrupt.signal, single: input === null },
        terminal,
      )
      if (prompt !== null && promptTemplate === null && prompts.some((one) => 'text' in one.prompt) && answers.some(endedImmediately))
        terminal.note(chatRemedy)
    } finally {
      interrupt.release()
      await generator.release()
    }
    return interrupt.exitCode() ?? exitCodes.success
  },
})

type Asked = Omit<Parameters<typeof readPrompts>[0], 'template'> & { readonly template: PromptTemplate | null }

/** --prompt and each {"prompt"} as the run was trained, {"instruction"} in a template in any case. */
const framedPrompts = async ({ template, ...given }: Asked, runTask: TaskOptions | null): Promise<readonly GivenPrompt[]> => {
  const ofRun = runTask === null ? null : parseTemplate(runTask)
  const ofPrompts = template ?? (runTask !== null && takesPromptTemplate(runTask.task) ? ofRun : null)
  return (await readPrompts({ ...given, template: null }, template ?? ofRun)).map((one) => ({
    ...one,
    prompt: framed('text' in one.prompt ? one.prompt.text : one.prompt, ofPrompts, one.where),
  }))
}

type Answer = { readonly prompt: unknown; readonly text: string; readonly tokens: number; readonly ended: string }
type Generation = Parameters<Generator['answers']>[1]

const endedImmediately = ({ tokens, ended }: Answer): boolean => tokens === 1 && ended === 'end'
const chatRemedy = 'the model ended its text at once; if it was trained on conversations, add --prompt-template chat'

const encoded = (generator: Generator, prompts: readonly GivenPrompt[]) =>
  prompts.map(({ prompt, where }) => generator.encode(prompt, where))

/** @param single one prompt, whose text is written piece by piece */
const writeAnswers = async (
  generator: Generator,
  { prompts, ids }: { readonly prompts: readonly GivenPrompt[]; readonly ids: ReturnType<typeof encoded> },
  settings: Generation,
  { signal, single }: { readonly signal: AbortSignal; readonly single: boolean },
  terminal: Terminal,
): Promise<readonly Answer[]> => {
  const began = performance.now()
  const answers: Answer[] = []
  const write = makeWriter(terminal.json ? 'document' : single ? 'text' : 'lines')
  for await (const event of orderedOutput(generator.answers(ids, settings, signal)))
    if (event.kind === 'piece') write.piece(event.text)
    else {
      const answer = { prompt: prompts[event.prompt]?.shown, text: event.text, tokens: event.tokens, ended: event.ended }
      answers.push(answer)
      write.answer(answer)
    }
  if (terminal.json) terminal.result('', single ? (answers[0] ?? null) : answers)
  else if (single && answers.length === 0) process.stdout.write('\n')
  const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0)
  const seconds = (performance.now() - began) / 1000
  if (answers.length > 0) terminal.note(`${plural(tokens, 'token')} on ${generator.device}, ${counted(tokens / seconds)} tokens/s`)
  return answers
}

type Writer = { readonly piece: (text: string) => void; readonly answer: (answer: Answer) => void }

/** A document is written at the end, text as it arrives, and lines answer by answer. */
const makeWriter = (to: 'document' | 'text' | 'lines'): Writer => {
  const write = (text: string): void => void process.stdout.write(printable(text))
  return {
    piece: to === 'text' ? write : () => undefined,
    answer: to === 'document' ? () => undefined : to === 'text' ? () => write('\n') : (answer) => write(`${JSON.stringify(answer)}\n`),
  }
}
