"""What each method trains on RoBERTa's published sizes with two labels, by its library: no weights, shapes alone."""
import torch
from transformers import RobertaConfig, RobertaForSequenceClassification

SIZES = {'base': {}, 'large': dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)}


def peft_model(model, config):
    from peft import get_peft_model
    return get_peft_model(model, config)


def lora(model, **settings):
    from golden_lora import TARGETS
    from peft import LoraConfig
    return peft_model(model, LoraConfig(task_type='SEQ_CLS', r=8, lora_alpha=16, **{'target_modules': TARGETS, **settings}))


def adalora(model):
    from golden_lora import TARGETS
    from peft import AdaLoraConfig
    return peft_model(model, AdaLoraConfig(task_type='SEQ_CLS', init_r=12, target_r=8, total_step=100, target_modules=TARGETS))


def ia3(model):
    from peft import IA3Config
    return peft_model(model, IA3Config(task_type='SEQ_CLS'))


def virtual(name):
    def tuned(model):
        import peft
        return peft_model(model, getattr(peft, name)(task_type='SEQ_CLS', num_virtual_tokens=40))
    return tuned


def bottleneck(name):
    def adapted(model):
        import adapters
        adapters.init(model)
        model.add_adapter('golden', config=getattr(adapters, name)(reduction_factor=16))
        model.train_adapter('golden')
        return model
    return adapted


METHODS = {
    'full': lambda model: model, 'lora': lora, 'rslora': lambda model: lora(model, use_rslora=True), 'dora': lambda model: lora(model, use_dora=True),
    'all-linear': lambda model: lora(model, target_modules='all-linear'), 'adalora': adalora,
    'ia3': ia3, 'prefix': virtual('PrefixTuningConfig'), 'prompt': virtual('PromptTuningConfig'), 'houlsby': bottleneck('DoubleSeqBnConfig'), 'pfeiffer': bottleneck('SeqBnConfig'),
}


def show(methods):
    for method in methods:
        for size, sizes in SIZES.items():
            with torch.device('meta'):
                config = RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, num_labels=2, **sizes)
                model = METHODS[method](RobertaForSequenceClassification(config))
            count = lambda head: sum(p.numel() for name, p in model.named_parameters() if p.requires_grad and (('classifier' in name) == head))
            print(f'{method}, {size}: {count(False):,} and the head {count(True):,}: {count(False) + count(True):,}')
