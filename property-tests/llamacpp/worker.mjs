/** A process of llama.cpp: reads jobs as JSON from standard input, and prints their answers as JSON. Everything is float32, on the CPU. */
import { text } from 'node:stream/consumers'
import { getLlama } from 'node-llama-cpp'

const jobs = JSON.parse(await text(process.stdin))
const logLevel = process.env.LLAMA_LOG ?? 'disabled'
const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel, maxThreads: 1 })

/** `prompts`: token ids. → after each token of each prompt, the probabilities of the next token. `greedy`: how many tokens follow each prompt. */
const answerOf = async ({ model: modelPath, adapter, prompts = [], greedy = 0, texts = [], contextSize }) => {
  const model = await llama.loadModel({ modelPath })
  const context = await model.createContext({
    contextSize: contextSize ?? Math.min(512, model.trainContextSize),
    threads: 1,
    flashAttention: false,
    experimentalKvCacheKeyType: 'F32',
    experimentalKvCacheValueType: 'F32',
    ...(adapter === undefined ? {} : { lora: { adapters: [{ filePath: adapter, scale: 1 }] } }),
  })
  const sequence = context.getSequence()
  const { ggml, chat_template: chatTemplate = null } = model.fileInfo.metadata.tokenizer
  const probabilities = async (ids) => {
    await sequence.clearHistory()
    const answers = await sequence.controlledEvaluate(ids.map((id) => [id, { generateNext: { probabilities: true } }]))
    return answers.map(({ next }) => ggml.tokens.map((_, id) => next.probabilities.get(id) ?? 0))
  }
  const continued = async (ids) => {
    await sequence.clearHistory()
    const written = []
    for await (const token of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) {
      written.push(token)
      if (written.length >= greedy || model.isEogToken(token)) break
    }
    return written
  }
  const answer = {
    probabilities: await inTurn(greedy === 0 ? prompts : [], probabilities),
    greedy: await inTurn(greedy === 0 ? [] : prompts, continued),
    tokens: texts.map((text) => model.tokenize(text, true)),
    chatTemplate,
  }
  await context.dispose()
  await model.dispose()
  return answer
}

const inTurn = async (items, work) => {
  const results = []
  for (const item of items) results.push(await work(item))
  return results
}

const answers = await inTurn(jobs, answerOf)
process.stdout.write(JSON.stringify(answers), () => process.exit(0))
