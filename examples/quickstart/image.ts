import { Image } from "kiln-engine";

// `npm run quickstart` sets one of these; on its own the recipe starts from Docker Hub.
const layout = process.env["KILN_QUICKSTART_LAYOUT"];
const base =
  layout === undefined
    ? Image.fromRegistry(process.env["KILN_QUICKSTART_BASE"] ?? "python:3.13-slim")
    : Image.fromOciLayout(layout);

export default base
  .aptInstall("figlet")
  .runCommands("python --version > /python-version.txt")
  .env({ GREETING: "Hello from Kiln" })
  .workdir("/app")
  .addLocalDir("app", "/app", { copy: true, ignore: ["**/__pycache__"] })
  .entrypoint(["python", "hello.py"]);
