import ArgumentParser
import Glibc
import Registry

struct LoginCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login", abstract: "Keep credentials for a registry, after asking it whether they are right.",
        discussion: """
            They go where the container engines keep theirs: the file that REGISTRY_AUTH_FILE names, else
            $DOCKER_CONFIG/config.json, else ~/.docker/config.json, or the credential helper that it names.

            Example:
              swiftlet login --username me --password-stdin ghcr.io < token
            """)
    @Argument(help: "The registry's host, with a port if need be.") var registry = ImageReference.defaultRegistry
    @Option(name: [.short, .long], help: "The user.") var username: String?
    @Flag(help: "Read the password, or a token, from standard input.") var passwordStdin = false
    @OptionGroup var options: RegistryOptions
    @OptionGroup var format: ErrorFormatOptions

    func run() throws {
        guard let username = try username ?? ask("user: ") else {
            throw CommandFailure("usage.no-user", "name the user by --username")
        }
        guard let password = passwordStdin ? readLine() : try askSecret("password: ") else {
            throw CommandFailure("usage.no-password", "pass the password in by --password-stdin")
        }
        let client = try options.client()
        let registry = registry
        let credentials = try RegistryOptions.credentials()
        let credential = Credential.password(user: username, password: password)
        let place = try waitFor {
            try await client.verify(credential, for: registry)
            return try await credentials.store(credential, for: registry)
        }
        Output.error("swiftlet: \(registry) accepts \(username); kept in \(place)")
    }

    /// Nil where there is nobody to ask.
    private func ask(_ question: String) throws -> String? {
        guard Terminal.isTerminal(0), !passwordStdin else { return nil }
        Output.prompt(question)
        return readLine()
    }

    private func askSecret(_ question: String) throws -> String? {
        guard Terminal.isTerminal(0) else { return nil }
        Output.prompt(question)
        let mode = TerminalMode.withoutEcho(0)
        defer {
            mode?.restore()
            Output.prompt("\n")
        }
        return readLine()
    }
}

struct LogoutCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logout", abstract: "Forget a registry's credentials.",
        discussion: "Example:\n  swiftlet logout ghcr.io")
    @Argument(help: "The registry's host, with a port if need be.") var registry = ImageReference.defaultRegistry
    @OptionGroup var format: ErrorFormatOptions

    func run() throws {
        let registry = registry
        let credentials = try RegistryOptions.credentials()
        let hadAny = try waitFor { try await credentials.erase(registry) }
        Output.error(
            hadAny ? "swiftlet: forgot the credentials for \(registry)" : "swiftlet: there were none for \(registry)")
    }
}
