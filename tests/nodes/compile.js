// Compiles contracts/*.sol with solc and writes {name: {abi, bytecode}} as JSON to standard output.
// Run by anvil_contracts.py, which keeps the result.
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const folder = path.join(__dirname, "contracts");
const sources = {};
for (const name of fs.readdirSync(folder).filter((name) => name.endsWith(".sol")).sort()) {
  sources[name] = { content: fs.readFileSync(path.join(folder, name), "utf8") };
}
const input = {
  language: "Solidity",
  sources,
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.bytecode.linkReferences"] } },
  },
};
const find = (name) => ({ contents: fs.readFileSync(path.join(__dirname, "node_modules", name), "utf8") });
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
const errors = (output.errors || []).filter((error) => error.severity === "error");
if (errors.length) {
  process.stderr.write(errors.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}
const compiled = {};
for (const name of Object.keys(sources)) {
  for (const [contract, made] of Object.entries(output.contracts[name])) {
    compiled[contract] = {
      abi: made.abi,
      bytecode: made.evm.bytecode.object,
      links: made.evm.bytecode.linkReferences,
    };
  }
}
process.stdout.write(JSON.stringify(compiled));
