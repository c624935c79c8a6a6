"""LoRA on decoders under PEFT: the first step's logits, loss and gradients, and 20 steps of AdamW. One family has grouped heads and Llama 3's rotation, one a
sliding window, one biases and a tied output matrix, one norms of queries and keys, one
fused matrices and LongRoPE on a part of each head, one a table of positions and matrices stored as [in, out], and one such a table and ReLU. Gemma's have
four norms a layer, soft caps, and windows in every other layer. Of these, Gemma 3 rotates by another base. SmolLM3 has a layer without rotation, OLMo 2 norms of outputs alone. Granite scales embeddings, scores, sublayers and logits.

transformers computes norms, rotations, attention's softmax and the loss in float32, whatever the model is in; in float64 these lines are replaced by the same
ones in float64."""
import json
import re

import peft
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM, AutoModelForSequenceClassification, Gemma2Config, Gemma3TextConfig, GPT2Config, GemmaConfig, GraniteConfig, LlamaConfig, MinistralConfig, MistralConfig, Olmo2Config, OPTConfig,
    Phi3Config, Qwen2Config, Qwen3Config, SmolLM3Config)
from transformers.modeling_layers import GenericForSequenceClassification
from transformers.models.gemma import modeling_gemma
from transformers.models.gemma2 import modeling_gemma2
from transformers.models.gemma3 import modeling_gemma3
from transformers.models.granite import modeling_granite
from transformers.models.llama import modeling_llama
from transformers.models.ministral import modeling_ministral
from transformers.models.mistral import modeling_mistral
from transformers.models.olmo2 import modeling_olmo2
from transformers.models.phi3 import modeling_phi3
from transformers.models.qwen2 import modeling_qwen2
from transformers.models.qwen3 import modeling_qwen3
from transformers.models.smollm3 import modeling_smollm3

from golden_models import SEED, normal
from golden_training import descend, in_both, optimization, randomize, versions, well_conditioned

LORA = dict(rank=4, alpha=8)
TARGETS = {
    **{family: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] for family in ('llama', 'mistral', 'qwen2', 'qwen3', 'gemma', 'gemma2', 'gemma3', 'granite', 'ministral', 'olmo2', 'smollm3')},
    'gpt2': ['c_attn', 'c_proj', 'c_fc'],
    'opt': ['q_proj', 'k_proj', 'v_proj', 'out_proj', 'fc1', 'fc2'],
    'phi3': ['qkv_proj', 'o_proj', 'gate_up_proj', 'down_proj'],
}
SIZES = dict(vocab_size=50, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=40,
             max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2)
LLAMA3 = dict(rope_type='llama3', rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
# of 8 numbers of a head, 6 are turned; texts are shorter than the 256 positions
LONGROPE = dict(rope_type='longrope', rope_theta=1000.0, short_factor=[1.0, 1.25, 1.5], long_factor=[1.5, 2.0, 4.0], original_max_position_embeddings=256,
                partial_rotary_factor=0.75)
CONFIGS = {
    'llama': lambda: LlamaConfig(**SIZES, head_dim=8, rms_norm_eps=1e-5, rope_parameters=LLAMA3),
    'mistral': lambda: MistralConfig(**SIZES, head_dim=6, rms_norm_eps=1e-6, rope_parameters=dict(rope_type='default', rope_theta=10000.0), sliding_window=3),
    'qwen2': lambda: Qwen2Config(**SIZES, rms_norm_eps=1e-6, rope_parameters=dict(rope_type='linear', rope_theta=1000.0, factor=2.0), tie_word_embeddings=True),
    'qwen3': lambda: Qwen3Config(**SIZES, head_dim=6, rms_norm_eps=1e-6, rope_parameters=dict(rope_type='default', rope_theta=1000000.0), tie_word_embeddings=True),
    'gemma': lambda: GemmaConfig(**SIZES, head_dim=8, rope_parameters=dict(rope_type='default', rope_theta=10000.0)),
    'ministral': lambda: MinistralConfig(**SIZES, head_dim=6, rope_parameters=dict(rope_type='default', rope_theta=10000.0), sliding_window=3,
                                         layer_types=['sliding_attention', 'full_attention']),
    'olmo2': lambda: Olmo2Config(**SIZES, rope_parameters=dict(rope_type='default', rope_theta=500000.0)),
    # the fourth layer has no rotation
    'smollm3': lambda: SmolLM3Config(**{**SIZES, 'num_hidden_layers': 4}, rope_parameters=dict(rope_type='default', rope_theta=5000.0)),
    'gemma2': lambda: Gemma2Config(**SIZES, head_dim=6, query_pre_attn_scalar=9, sliding_window=3, attn_logit_softcapping=4.0, final_logit_softcapping=6.0,
                                   rope_parameters=dict(rope_type='default', rope_theta=10000.0)),
    'gemma3': lambda: Gemma3TextConfig(**SIZES, head_dim=8, query_pre_attn_scalar=8, sliding_window=3, layer_types=['sliding_attention', 'full_attention'],
                                       rope_parameters={'full_attention': dict(rope_type='linear', rope_theta=100000.0, factor=8.0),
                                                        'sliding_attention': dict(rope_type='default', rope_theta=100.0)}),
    'granite': lambda: GraniteConfig(**SIZES, rms_norm_eps=1e-5, rope_parameters=dict(rope_type='default', rope_theta=10000.0), embedding_multiplier=3.0,
                                     attention_multiplier=0.3, residual_multiplier=0.6, logits_scaling=0.5),
    'phi3': lambda: Phi3Config(
        **{**SIZES, 'hidden_size': 32, 'max_position_embeddings': 512}, rms_norm_eps=1e-5, original_max_position_embeddings=256, rope_parameters=LONGROPE, sliding_window=None),
    'opt': lambda: OPTConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=40, max_position_embeddings=64, dropout=0.0, word_embed_proj_dim=32,
        pad_token_id=0, bos_token_id=1, eos_token_id=2),
    'gpt2': lambda: GPT2Config(
        vocab_size=50, n_embd=32, n_layer=2, n_head=4, n_inner=40, n_positions=64, embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0, pad_token_id=0,
        bos_token_id=1, eos_token_id=2),
}
# Families whose norms and rotations cast to float32.
MODULES = {'llama': (modeling_llama, 'Llama'), 'mistral': (modeling_mistral, 'Mistral'), 'qwen2': (modeling_qwen2, 'Qwen2'), 'qwen3': (modeling_qwen3, 'Qwen3'),
           'gemma2': (modeling_gemma2, 'Gemma2'), 'gemma3': (modeling_gemma3, 'Gemma3'), 'phi3': (modeling_phi3, 'Phi3'), 'granite': (modeling_granite, 'Granite'),
           'gemma': (modeling_gemma, 'Gemma'), 'ministral': (modeling_ministral, 'Ministral'), 'olmo2': (modeling_olmo2, 'Olmo2'), 'smollm3': (modeling_smollm3, 'SmolLM3')}


class GraniteForSequenceClassification(GenericForSequenceClassification, modeling_granite.GranitePreTrainedModel):
    """transformers has no classifier of Granite; it makes LLaMA's by this one line."""


AutoModelForSequenceClassification.register(GraniteConfig, GraniteForSequenceClassification, exist_ok=True)

# Tokens of each text, and how many at its start are a prompt's, which is not learned.
LENGTHS = [[(7, 0), (3, 1), (12, 5), (2, 1)], [(4, 1), (9, 3), (6, 0), (5, 4)], [(11, 2), (1, 0), (3, 0), (8, 6)]]


def draw_batches():
    generator = torch.Generator().manual_seed(SEED)
    batches = []
    for lengths in LENGTHS:
        ids = [torch.randint(3, SIZES['vocab_size'], (length,), generator=generator).tolist() for length, _ in lengths]
        # the next token of each token that has a label; a prompt's tokens have none, so the first label is that of its last token
        targets = [[after if i + 1 > prompt else -100 for i, after in enumerate([*own[1:], -100])] for own, (_, prompt) in zip(ids, lengths)]
        batches.append({'inputIds': ids, 'targets': targets})
    return batches


def rows_of(model, batch):
    """Logits of every token, one text after another. Each text by itself: padding within a window of padding alone is not a number."""
    return torch.cat([model(input_ids=torch.tensor([ids]), use_cache=False).logits[0] for ids in batch['inputIds']])


def loss_of(model, batch):
    targets = torch.tensor([target for row in batch['targets'] for target in row])
    return torch.nn.functional.cross_entropy(rows_of(model, batch), targets, ignore_index=-100)


def long_rope(rotary):
    """The short factors, for texts within the original positions."""
    size = 2 * len(LONGROPE['short_factor'])
    powers = LONGROPE['rope_theta'] ** (torch.arange(0, size, 2, dtype=torch.float64) / size)
    return 1 / (torch.tensor(LONGROPE['short_factor'], dtype=torch.float64) * powers), rotary.attention_scaling


def in_float64(family):
    """The library's own formulas of norm, rotation and softmax, without their casts."""
    library_softmax = torch.nn.functional.softmax

    def softmax(x, dim=None, dtype=None):
        return library_softmax(x, dim=dim, dtype=x.dtype if x.dtype == torch.float64 else dtype)

    def norm(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))

    def norm_with_offset(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * (1.0 + self.weight)

    def rotation(self, x, position_ids, *layer_type, **_):
        if x.dtype == torch.float32:
            return library(self, x, position_ids, *layer_type)
        single, torch.float = torch.float, torch.float64  # what the library makes its frequencies in
        kind = self.rope_type[layer_type[0]] if layer_type else self.rope_type
        try:
            init = self.compute_default_rope_parameters if kind == 'default' else modeling_llama.ROPE_INIT_FUNCTIONS[kind]
            frequencies, scaling = (
                long_rope(self) if kind == 'longrope' else init(self.config, None, layer_type=layer_type[0]) if layer_type else init(self.config))
        finally:
            torch.float = single
        assert frequencies.dtype == torch.float64
        angles = position_ids[:, :, None].to(x.dtype) * frequencies
        both = torch.cat((angles, angles), dim=-1)
        return both.cos() * scaling, both.sin() * scaling

    torch.nn.functional.softmax = softmax
    if family not in MODULES:
        return
    module, name = MODULES[family]
    getattr(module, f'{name}RMSNorm').forward = norm_with_offset if name.startswith('Gemma') else norm
    rotary = getattr(module, f'{name}RotaryEmbedding')
    library = rotary.forward
    rotary.forward = rotation


def write_model(family, folder):
    model = AutoModelForCausalLM.from_config(CONFIGS[family]())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            inner = 0 if re.search(r'\.c_\w+\.weight$', name) else 1  # GPT-2 stores [in, out]
            words = 0.1 if family.startswith('gemma') else 0.5  # Gemma's are multiplied by 4.9
            deviation = words if re.search('embed|wte|wpe', name) else 1 / parameter.shape[inner] ** 0.5 if parameter.dim() > 1 else 0.2
            value = normal(name, parameter.shape, deviation)
            is_factor = re.search(r'(norm|ln_\w)\.weight$', name) and not family.startswith('gemma')  # Gemma's add 1
            parameter.copy_(1 + value if is_factor else value)
    model.save_pretrained(folder)
    (folder / 'generation_config.json').unlink(missing_ok=True)


def lora(family, folder):
    base = AutoModelForCausalLM.from_pretrained(folder, attn_implementation='eager', dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(task_type='CAUSAL_LM', r=LORA['rank'], lora_alpha=LORA['alpha'], target_modules=TARGETS[family], lora_dropout=0.0))
    randomize(model, {'.A': 0.2, '.B': 0.2})
    return model


def tokenizer(family):
    """Words, with a token at the start as LLaMA has it, none as SmolLM has none, and one at either end."""
    specials = ['<unk>', '<s>', '</s>']
    made = Tokenizer(models.WordPiece({word: i for i, word in enumerate(specials + [f'w{i}' for i in range(3, SIZES['vocab_size'])])}, unk_token='<unk>'))
    made.add_special_tokens(specials)
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    forms = {'llama': ('<s> $A', '<s> $A <s> $B'), 'mistral': ('<s> $A </s>', '<s> $A </s> </s> $B </s>')}
    if family in forms:
        single, pair = forms[family]
        made.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=[('<s>', 1), ('</s>', 2)])
    return made


TEXTS = [['w3 w4 w5'], ['w9'], ['w20 w21 w22 w23 w24 w25', 'w7 w8'], ['w40 w3', 'w11']]


def classifier(family, folder):
    """An adapter of a classifier as PEFT saves it, on the decoder without its output matrix, and what it answers to texts and pairs."""
    made = tokenizer(family)
    made.save(str(folder / 'tokenizer.json'))
    base = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3, attn_implementation='eager', dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(task_type='SEQ_CLS', r=LORA['rank'], lora_alpha=LORA['alpha'], target_modules=TARGETS[family], lora_dropout=0.0))
    randomize(model, {'.A': 0.2, '.B': 0.2, 'score.weight': 0.3})
    model.peft_config['default'].base_model_name_or_path = f'golden/{family}'
    model.eval().save_pretrained(folder / 'peft-adapter')
    (folder / 'peft-adapter' / 'README.md').unlink(missing_ok=True)
    with torch.no_grad():
        rows = [model(input_ids=torch.tensor([made.encode(*texts).ids])).logits[0].tolist() for texts in TEXTS]
    return {'texts': TEXTS, 'inputIds': [made.encode(*texts).ids for texts in TEXTS], 'logits': rows}


@torch.no_grad()
def logits(model, batch):
    return rows_of(model, batch).clone()


def make(family, folder, _):
    folder.mkdir(parents=True, exist_ok=True)
    in_float64(family)
    write_model(family, folder)
    batches = draw_batches()
    answers = {}

    def run(model, dtype):
        answers[f'{dtype}/logits'] = logits(model, batches[0])
        losses, gradients = descend(model, lambda batch: loss_of(model, batch), batches)
        answers[f'{dtype}/finalLogits'] = logits(model, batches[0])
        return {'losses': losses}, gradients

    recorded, tensors, _ = in_both(lambda: lora(family, folder), run)
    tensors.update(answers)
    golden = {'versions': versions(peft), 'seed': SEED, 'lora': {**LORA, **optimization()}, 'batches': batches, **recorded}
    golden['classifier'] = classifier(family, folder)
    well_conditioned(tensors)
    save_file(tensors, folder / 'golden.safetensors')
    (folder / 'golden.json').write_text(json.dumps(golden, indent=1) + '\n')
    for file in folder.rglob('*'):
        if file.is_file():
            file.chmod(0o644)
