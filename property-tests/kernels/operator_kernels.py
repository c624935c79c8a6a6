"""Prints the CUDA kernels that ONNX Runtime lists of itself, as a page in the form of its docs/OperatorKernels.md.

python operator_kernels.py FOLDER > OperatorKernels.md, where FOLDER holds the files of the wheel onnxruntime-gpu. The provider's library loads only
beside NVIDIA's libraries, of which the list calls nothing that matters: empty stand-ins, made by gcc, take their place. No card is needed.
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

STAND_IN = """
static long nothing(void) { return 0; }
static void *methods[512], *object[64];
void *stand_in(void) {
  for (int i = 0; i < 512; i++) methods[i] = (void *)nothing;
  for (int i = 0; i < 64; i++) object[i] = methods;
  return object;
}
"""


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def stand_ins(capi, folder):
    """Libraries under NVIDIA's names with every symbol that the providers ask for. Factories return an object whose methods return 0."""
    symbols = {}
    for provider in sorted(capi.glob("libonnxruntime_providers_*.so")):
        libraries = re.findall(r"NEEDED.*\[(lib(?:cu|nv)[^]]+)\]", output_of("readelf", "-d", str(provider)))
        names = [line.split()[-1] for line in output_of("nm", "-D", "--undefined-only", str(provider)).splitlines()]
        for library in libraries:
            symbols.setdefault(library, set())
        for name, _, library in (name.partition("@") for name in names):
            if library in libraries:
                symbols[library].add(name)
            elif library == "" and re.match(r"(cu[A-Z]|curand|create|get(Infer|Plugin))\w+$", name):
                for each in libraries:
                    if re.match(r"lib(cuda|curand|nv\w+)\.", each):
                        symbols[each].add(name)
    for library, names in symbols.items():
        of_object = re.compile(r"__cudaRegisterFatBinary$|create\w+_INTERNAL|getPlugin")
        functions = [f"{'void *' if of_object.match(n) else 'long '}{n}(void) {{ return {'stand_in()' if of_object.match(n) else '0'}; }}" for n in sorted(names)]
        (folder / "source.c").write_text(STAND_IN + "\n".join(functions))
        (folder / "versions").write_text(f"{library} {{ global: *; }};")
        script = [f"-Wl,--version-script={folder}/versions"] if re.match(r"lib(cublas|cudart|cudnn)", library) else []
        subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-o", folder / library, folder / "source.c", f"-Wl,-soname,{library}", *script], check=True)


def page():
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    signatures = {}
    for schema in sorted(runtime.get_all_operator_schema(), key=lambda each: -each.since_version):
        parameters = [f"*in* {each.name}:**{each.typeStr}**" for each in schema.inputs] + [f"*out* {each.name}:**{each.typeStr}**" for each in schema.outputs]
        known = signatures.setdefault((schema.domain, schema.name), [])
        if (text := "<br> ".join(parameters)) not in known:
            known.append(text)
    kernels = {}
    for kernel in runtime.get_all_opkernel_def():
        if kernel.provider != "CUDAExecutionProvider":
            continue
        types = kernels.setdefault((kernel.domain, kernel.op_name), {}).setdefault(kernel.version_range, {})
        for name, allowed in kernel.type_constraints.items():
            types.setdefault(name, set()).update(allowed)
    yield "## Operators implemented by CUDAExecutionProvider"
    before = None
    for domain, operator in sorted(kernels):
        if domain != before:
            yield f"|**Operator Domain:** *{domain or 'ai.onnx'}*||||"
            before = domain
        first = True
        for (start, end), types in sorted(kernels[domain, operator].items(), reverse=True):
            opsets = f"{start}+" if end >= 2**31 - 1 else str(start) if start == end else f"[{start}, {end}]"
            constraints = "<br/> ".join(f"**{name}** = {', '.join(sorted(types[name]))}" for name in sorted(types))
            named = f"|{operator}|{'<br><br>or<br><br>'.join(signatures.get((domain, operator), []))}" if first else "||"
            yield f"{named}|{opsets}|{constraints}|"
            first = False


def main():
    folder = Path(sys.argv[1]).resolve()
    if "KERNELS_LISTED" in os.environ:
        sys.path.insert(0, str(folder))
        print("\n".join(page()))
        return
    with tempfile.TemporaryDirectory() as made:
        stand_ins(folder / "onnxruntime" / "capi", Path(made))
        environment = {**os.environ, "LD_LIBRARY_PATH": made, "KERNELS_LISTED": "1"}
        subprocess.run([sys.executable, __file__, str(folder)], check=True, env=environment)


main()
