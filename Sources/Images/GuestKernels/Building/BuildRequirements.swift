import HostFiles

/// What a machine must have so that a kernel can be built on it.
enum BuildRequirements {
    /// Programs, and the Debian packages that bring them.
    static let programs: [(program: String, package: String)] = [
        ("make", "make"), ("gcc", "gcc"), ("ld", "binutils"), ("flex", "flex"), ("bison", "bison"), ("bc", "bc"),
        ("perl", "perl-base"), ("tar", "tar"), ("xz", "xz-utils"), ("apt-get", "apt"), ("dpkg-deb", "dpkg"),
    ]

    /// Headers, and the packages that bring them.
    static let headers: [(path: String, package: String)] = [
        ("/usr/include/gelf.h", "libelf-dev"), ("/usr/include/stdio.h", "libc6-dev"),
    ]

    /// Packages that are missing here, each once.
    static func missingPackages(
        hasProgram: (String) -> Bool = HostTool.isThere, hasFile: (String) -> Bool = { HostPath($0).exists }
    ) -> [String] {
        programs.filter { !hasProgram($0.program) }.map(\.package) + headers.filter { !hasFile($0.path) }.map(\.package)
    }

    static func check() throws(KernelError) {
        let missing = missingPackages()
        guard missing.isEmpty else {
            throw KernelError(
                .missingTool,
                "building a kernel needs what is not installed here; run `sudo apt-get install "
                    + "\(missing.joined(separator: " "))`")
        }
    }
}
