import { AcmeImage } from "./acme-images.js";

export default AcmeImage.start().tool("greet", { script: "greet.sh" }).service(["greet"], { port: 8080 })
  .image;
