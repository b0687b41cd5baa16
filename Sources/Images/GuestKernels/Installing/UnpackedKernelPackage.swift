import HostFiles

/// A distribution's kernel package, unpacked into a folder.
struct UnpackedKernelPackage {
    let folder: String
    /// What `uname -r` will say; also the name of the folder of modules.
    let release: String
    let bootFile: String
    /// Where each module lies, by its plain name.
    let modules: [String: String]
    let builtIn: Set<String>

    init(folder: String) throws(KernelError) {
        let boot = folder + "/boot"
        let images = try storing { () throws(HostFileError) in try HostPath(boot).folderNames() }
            .map { String(decoding: $0, as: UTF8.self) }.filter { $0.hasPrefix("vmlinuz-") }.sorted()
        guard let image = images.last else {
            throw KernelError(.invalidKernel, "the package has no kernel: there is no boot/vmlinuz-* in it")
        }
        self.folder = folder
        release = String(image.dropFirst(8))
        bootFile = boot + "/" + image
        // Debian 13 and later have /usr merged in their packages.
        let places = ["/lib/modules/", "/usr/lib/modules/"].map { folder + $0 + image.dropFirst(8) }
        let place = places.first { HostPath($0).exists } ?? places[0]
        var found: [String: String] = [:]
        var work = [place + "/kernel"]
        while let next = work.popLast() {
            guard let names = try? HostPath(next).folderNames() else { continue }
            for name in names {
                let path = next + "/" + String(decoding: name, as: UTF8.self)
                if let module = ModuleName.ofFile(path) {
                    found[module] = path
                } else if (try? HostPath(path).status(followsLinks: false))?.isFolder == true {
                    work.append(path)
                }
            }
        }
        modules = found
        let list = (try? HostPath(place + "/modules.builtin").readWhole(limit: 1 << 20)) ?? []
        builtIn = Set(list.split(separator: 10).compactMap { ModuleName.ofFile(String(decoding: $0, as: UTF8.self)) })
    }

    /// Takes the uncompressed kernel out of the boot image.
    func extractKernel(to path: String) throws(KernelError) {
        let bytes = try storing { () throws(HostFileError) in try HostPath(bootFile).readWhole(limit: 256 << 20) }
        guard let image = BootImage(bytes.span) else {
            throw KernelError(
                .invalidKernel, "\(bootFile) is not a bzImage, or is compressed in a way that is not known here")
        }
        if image.compression == .lz4 {
            guard let kernel = LZ4LegacyFrame.decompress(bytes.span.extracting(image.payload), limitBytes: 1 << 30)
            else {
                throw KernelError(.invalidKernel, "the LZ4 data in \(bootFile) is damaged")
            }
            try storing { () throws(HostFileError) in
                try HostFile(HostPath(path), [.writeOnly, .create, .truncate]).write(kernel)
            }
        } else {
            let payload = path + ".payload"
            try storing { () throws(HostFileError) in
                try HostFile(HostPath(payload), [.writeOnly, .create, .truncate])
                    .write(bytes.span.extracting(image.payload))
            }
            let tool = image.compression.tool
            try HostTool(tool.arguments, package: tool.package)
                .run(input: payload, output: path, orThrow: .invalidKernel, "decompressing \(bootFile)")
            try storing { () throws(HostFileError) in try HostPath(payload).removeFile() }
        }
        _ = try KernelImage.architecture(ofFile: path)
    }

    /// Makes the archive of modules: `modules/order`, and the files that it names, decompressed.
    func archive(
        additionalModules: [String], scratch: String, progress: (String) -> Void
    ) throws(KernelError) -> [UInt8] {
        var contents: [String: [UInt8]] = [:]
        let usual = ModuleSelection.usual.filter { modules[$0] != nil }
        let selection = try ModuleSelection(
            ModuleSelection.required + usual + additionalModules, isBuiltIn: { builtIn.contains($0) }
        ) { name throws(KernelError) in
            guard let path = modules[name] else { return nil }
            progress(name)
            let content = try read(path, scratch: scratch)
            guard let module = KernelModule(content) else {
                throw KernelError(.invalidKernel, "\(path) is not a kernel module")
            }
            contents[name] = content
            return module
        }
        guard selection.missing.isEmpty else {
            throw KernelError(
                .invalidKernel,
                "the kernel \(release) has no \(selection.missing.joined(separator: ", ")), neither built in nor as a "
                    + "module; choose another kernel package")
        }
        var archive = InitialFileArchive()
        archive.addFolder("modules")
        archive.addFile("modules/order", content: Array(selection.order.map { $0 + ".ko\n" }.joined().utf8))
        for name in selection.order { archive.addFile("modules/\(name).ko", content: contents[name] ?? []) }
        archive.finish()
        return archive.bytes
    }

    private func read(_ path: String, scratch: String) throws(KernelError) -> [UInt8] {
        let kinds: [(String, BootImage.Compression)] = [(".xz", .xz), (".gz", .gzip), (".zst", .zstd)]
        guard let kind = kinds.first(where: { path.hasSuffix($0.0) })?.1 else {
            return try storing { () throws(HostFileError) in try HostPath(path).readWhole(limit: 64 << 20) }
        }
        try HostTool(kind.tool.arguments, package: kind.tool.package)
            .run(input: path, output: scratch, orThrow: .invalidKernel, "decompressing \(path)")
        return try storing { () throws(HostFileError) in try HostPath(scratch).readWhole(limit: 64 << 20) }
    }
}
