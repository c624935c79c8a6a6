"""EVA's ranks (Paischer et al., 2024) within a budget of numbers: components by the share of its input's variance that each explains."""
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, file, data, output, texts, budget = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]), int(sys.argv[6])
torch.set_num_threads(1)
tok = AutoTokenizer.from_pretrained(folder, gguf_file=file)
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32).eval()

def pieces(text):
    piece = ''
    for word in text.split():
        longer = word if piece == '' else f'{piece} {word}'
        if piece != '' and len(longer) > 200:
            yield piece
            piece = word
        else:
            piece = longer
    if piece: yield piece

if data.endswith('.json'):
    rows = [r for r in json.load(open(data)) if r['output'].strip() and len(r['instruction']) + len(r['input']) + len(r['output']) <= 300][:texts]
    chat = lambda r: [{'role': 'user', 'content': r['instruction'] + (f"\n\n{r['input']}" if r['input'] else '')}, {'role': 'assistant', 'content': r['output']}]
    ids = [tok(tok.apply_chat_template(chat(r), tokenize=False), add_special_tokens=False).input_ids[:128] for r in rows]
else:
    g = pieces(open(data, errors='replace').read())
    ids = [tok(next(g)).input_ids[:128] for _ in range(texts)]
linears = {n.removeprefix('model.'): m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and 'lm_head' not in n}
# q, k and v share an input, and so do gate and up
source = {n: n.replace('k_proj', 'q_proj').replace('v_proj', 'q_proj').replace('up_proj', 'gate_proj') for n in linears}
sums, counts = {}, 0
def hook(name):
    def run(_, inputs):
        x = inputs[0].reshape(-1, inputs[0].shape[-1]).double()
        total, gram = sums.get(name, (0, 0))
        sums[name] = (total + x.sum(0), gram + x.T @ x)
    return run
for n in set(source.values()): linears[n].register_forward_pre_hook(hook(n))
with torch.no_grad():
    for one in ids:
        model(torch.tensor([one])); counts += len(one)
shares = {}
for n, (total, gram) in sums.items():
    mean = total / counts
    values = torch.linalg.eigvalsh(gram / counts - torch.outer(mean, mean)).flip(0).clamp(min=0)
    shares[n] = (values / values.sum())[:8].tolist()
ranks, left = dict.fromkeys(linears, 0), budget
for share, n, j in sorted(((s, n, j) for n in linears for j, s in enumerate(shares[source[n]])), key=lambda c: (-c[0], c[1], c[2])):
    cost = linears[n].in_features + linears[n].out_features
    if cost <= left and ranks[n] == j:
        ranks[n] += 1; left -= cost
json.dump(ranks, open(output, 'w'), indent=2)
kinds = {}
for n, r in ranks.items(): k = n.split('.')[-1]; kinds[k] = kinds.get(k, 0) + r
layers = [sum(r for n, r in ranks.items() if int(n.split('.')[1]) // 10 == t) for t in range(3)]
print(data.split('/')[-1], counts, 'tokens', sum(ranks.values()), 'components', budget - left, 'numbers', kinds, layers, 'max', max(ranks.values()))
